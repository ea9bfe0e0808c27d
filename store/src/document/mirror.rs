//! The macro that writes a document type and its two conversions from one list of fields.

/// Mirrors a struct or an enum of the model. The fields are written with their model types; the
/// document holds the stored form of each.
///
/// Struct: every field, or the pattern does not compile. Enum: every variant, or the match does not.
macro_rules! mirror {
    ($(#[$meta:meta])* struct $model:ident as $document:ident {
        $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* $(,)?
    }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        $(#[$meta])*
        pub(crate) struct $document {
            $(
                $(#[$field_meta])*
                $field: <$field_type as $crate::document::Stored>::Document,
            )*
        }

        impl $crate::document::Stored for $model {
            type Document = $document;

            fn to_document(&self) -> $document {
                let $model { $($field),* } = self;
                $document { $($field: $crate::document::Stored::to_document($field)),* }
            }

            fn from_document(document: $document) -> Self {
                let $document { $($field),* } = document;
                $model { $($field: $crate::document::Stored::from_document($field)),* }
            }
        }
    };

    ($(#[$meta:meta])* enum $model:ident as $document:ident {
        $($(#[$variant_meta:meta])* $variant:ident
            $(($inner:ident: $inner_type:ty))?
            $({ $($(#[$field_meta:meta])* $field:ident: $field_type:ty),* $(,)? })?
        ),* $(,)?
    }) => {
        #[derive(serde::Serialize, serde::Deserialize)]
        $(#[$meta])*
        pub(crate) enum $document {
            $($(#[$variant_meta])* $variant
                $((<$inner_type as $crate::document::Stored>::Document))?
                $({ $(
                    $(#[$field_meta])*
                    $field: <$field_type as $crate::document::Stored>::Document
                ),* })?
            ),*
        }

        impl $crate::document::Stored for $model {
            type Document = $document;

            fn to_document(&self) -> $document {
                match self {
                    $($model::$variant $(($inner))? $({ $($field),* })? => $document::$variant
                        $(($crate::document::Stored::to_document($inner)))?
                        $({ $($field: $crate::document::Stored::to_document($field)),* })?
                    ),*
                }
            }

            fn from_document(document: $document) -> Self {
                match document {
                    $($document::$variant $(($inner))? $({ $($field),* })? => $model::$variant
                        $(($crate::document::Stored::from_document($inner)))?
                        $({ $($field: $crate::document::Stored::from_document($field)),* })?
                    ),*
                }
            }
        }
    };
}

pub(super) use mirror;
