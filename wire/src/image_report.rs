//! What a node says of the images that it was asked to have.

use dugout_model as model;
use serde::{Deserialize, Serialize};

use crate::WireError;
use crate::assignment::AssignedImage;
use crate::names::{digest_text, parse_digest};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ImageReport {
    #[serde(flatten)]
    pub image: AssignedImage,
    pub state: ImageState,
    /// What the node found that the name stands for. An agent of an earlier release does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_digest: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ImageState {
    Pulling {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trouble: Option<String>,
    },
    Held,
    Failed {
        message: String,
    },
}

pub(crate) fn image_to_wire(
    (image, report): (&model::AssignedImage, &model::ImageReport),
) -> ImageReport {
    let (state, found) = match report {
        model::ImageReport::Pulling { trouble } => {
            (ImageState::Pulling { trouble: trouble.clone() }, None)
        }
        model::ImageReport::Held { digest } => (ImageState::Held, digest.as_ref()),
        model::ImageReport::Failed { message } => {
            (ImageState::Failed { message: message.clone() }, None)
        }
    };
    ImageReport { image: image.into(), state, found_digest: digest_text(found) }
}

pub(crate) fn image_from_wire(
    value: ImageReport,
) -> Result<(model::AssignedImage, model::ImageReport), WireError> {
    let ImageReport { image, state, found_digest } = value;
    let report = match state {
        ImageState::Pulling { trouble } => model::ImageReport::Pulling { trouble },
        ImageState::Held => model::ImageReport::Held {
            digest: parse_digest("digest that was found", found_digest)?,
        },
        ImageState::Failed { message } => model::ImageReport::Failed { message },
    };
    Ok((image.try_into()?, report))
}
