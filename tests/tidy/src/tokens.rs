//! One Rust file as tokens, so that strings, comments and nested braces cannot mislead a rule.

use std::str::FromStr;

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// What the rules look at in one file. Documentation comments are left out.
#[derive(Default)]
pub struct Tokens {
    pub tokens: Vec<Token>,
    pub functions: Vec<Function>,
    pub modules: Vec<ModuleDeclaration>,
    /// The files named by `include!`, as written.
    pub includes: Vec<String>,
}

pub struct Token {
    pub kind: TokenKind,
    /// The word or sign; for a string literal, its content as written.
    pub text: String,
    pub line: usize,
    /// Inside an item that is compiled for tests only.
    pub in_test: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TokenKind {
    Word,
    Sign,
    Text,
    Other,
}

pub struct Function {
    pub name: String,
    /// Of the line with `fn`.
    pub line: usize,
    pub line_count: usize,
}

/// `mod name;`: a module in a file of its own.
pub struct ModuleDeclaration {
    pub name: String,
    /// From a `#[path]` attribute.
    pub path: Option<String>,
    /// The inline modules around it.
    pub inside: Vec<String>,
    pub in_test: bool,
}

impl Tokens {
    pub fn parse(source: &str) -> Result<Tokens, String> {
        let stream = TokenStream::from_str(source).map_err(|error| error.to_string())?;
        let mut tokens = Tokens::default();
        tokens.walk(stream, false, &mut Vec::new());
        Ok(tokens)
    }

    /// Whether the tokens from `start` on are these words and signs.
    pub fn follow(&self, start: usize, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(offset, text)| {
            self.tokens
                .get(start + offset)
                .is_some_and(|token| token.kind != TokenKind::Text && token.text == *text)
        })
    }

    fn walk(&mut self, stream: TokenStream, in_test: bool, inside: &mut Vec<String>) {
        let trees: Vec<TokenTree> = stream.into_iter().collect();
        let mut walk = Walk { in_test, item_in_test: false, path: None };
        let mut index = 0;
        while index < trees.len() {
            if let Some((attribute, length)) = attribute_at(&trees[index..]) {
                self.see_attribute(attribute, length == 3, &mut walk, inside);
                index += length;
                continue;
            }
            let now_in_test = walk.in_test || walk.item_in_test;
            match &trees[index] {
                TokenTree::Ident(word) if *word == "fn" => self.see_function(&trees[index..]),
                TokenTree::Ident(word) if *word == "mod" => {
                    self.see_module(&trees[index..], now_in_test, walk.path.take(), inside);
                }
                TokenTree::Ident(word) if *word == "include" => self.see_include(&trees[index..]),
                _ => {}
            }
            let inline_module = inline_module_name(&trees, index);
            let depth = inside.len();
            inside.extend(inline_module);
            self.push(&trees[index], now_in_test, inside);
            inside.truncate(depth);
            if ends_item(&trees[index]) {
                walk.item_in_test = false;
                walk.path = None;
            }
            index += 1;
        }
    }

    fn see_attribute(
        &mut self,
        attribute: &Group,
        inner: bool,
        walk: &mut Walk,
        inside: &mut Vec<String>,
    ) {
        let words: Vec<String> = words_of(attribute.stream());
        match words.first().map(String::as_str) {
            Some("doc") => return,
            Some("cfg") if words.iter().any(|word| word == "test") => {
                let negated = words.iter().any(|word| word == "not");
                walk.in_test |= inner && !negated;
                walk.item_in_test |= !inner && !negated;
            }
            Some("test") => walk.item_in_test = true,
            Some("path") => {
                walk.path = attribute.stream().into_iter().last().and_then(|tree| string_of(&tree));
            }
            _ => {}
        }
        let in_test = walk.in_test || walk.item_in_test;
        self.push(&TokenTree::Group(attribute.clone()), in_test, inside);
    }

    fn see_function(&mut self, trees: &[TokenTree]) {
        let (Some(keyword), Some(TokenTree::Ident(name))) = (trees.first(), trees.get(1)) else {
            return;
        };
        let line = keyword.span().start().line;
        for tree in &trees[2..] {
            match tree {
                TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                    let last = body.span_close().end().line;
                    let line_count = last + 1 - line;
                    self.functions.push(Function { name: name.to_string(), line, line_count });
                    return;
                }
                TokenTree::Punct(sign) if sign.as_char() == ';' => return,
                _ => {}
            }
        }
    }

    fn see_module(
        &mut self,
        trees: &[TokenTree],
        in_test: bool,
        path: Option<String>,
        inside: &[String],
    ) {
        if let (Some(TokenTree::Ident(name)), Some(TokenTree::Punct(sign))) =
            (trees.get(1), trees.get(2))
            && sign.as_char() == ';'
        {
            let (name, inside) = (name.to_string(), inside.to_vec());
            self.modules.push(ModuleDeclaration { name, path, inside, in_test });
        }
    }

    fn see_include(&mut self, trees: &[TokenTree]) {
        if let (Some(TokenTree::Punct(sign)), Some(TokenTree::Group(group))) =
            (trees.get(1), trees.get(2))
            && sign.as_char() == '!'
        {
            self.includes.extend(group.stream().into_iter().next().and_then(|it| string_of(&it)));
        }
    }

    fn push(&mut self, tree: &TokenTree, in_test: bool, inside: &mut Vec<String>) {
        let mut add = |kind, text: String, line| {
            self.tokens.push(Token { kind, text, line, in_test });
        };
        let line = tree.span().start().line;
        match tree {
            TokenTree::Ident(word) => add(TokenKind::Word, word.to_string(), line),
            TokenTree::Punct(sign) => add(TokenKind::Sign, sign.to_string(), line),
            TokenTree::Literal(literal) => match string_of(tree) {
                Some(text) => add(TokenKind::Text, text, line),
                None => add(TokenKind::Other, literal.to_string(), line),
            },
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::None => ("", ""),
                };
                add(TokenKind::Sign, open.to_owned(), line);
                self.walk(group.stream(), in_test, inside);
                self.tokens.push(Token {
                    kind: TokenKind::Sign,
                    text: close.to_owned(),
                    line: group.span_close().end().line,
                    in_test,
                });
            }
        }
    }
}

/// What the tokens so far say of those that follow.
struct Walk {
    in_test: bool,
    item_in_test: bool,
    path: Option<String>,
}

/// `#[…]` or `#![…]` at the start, with its length in trees.
fn attribute_at(trees: &[TokenTree]) -> Option<(&Group, usize)> {
    let is_sign = |index: usize, sign: char| matches!(trees.get(index), Some(TokenTree::Punct(punct)) if punct.as_char() == sign);
    if !is_sign(0, '#') {
        return None;
    }
    let length = if is_sign(1, '!') { 3 } else { 2 };
    match trees.get(length - 1) {
        Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Bracket => {
            Some((group, length))
        }
        _ => None,
    }
}

fn ends_item(tree: &TokenTree) -> bool {
    match tree {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        TokenTree::Punct(sign) => sign.as_char() == ';',
        _ => false,
    }
}

/// The name of the inline module whose body stands at `index`.
fn inline_module_name(trees: &[TokenTree], index: usize) -> Option<String> {
    let (TokenTree::Group(group), Some(TokenTree::Ident(name)), Some(TokenTree::Ident(keyword))) =
        (&trees[index], trees.get(index.checked_sub(1)?), trees.get(index.checked_sub(2)?))
    else {
        return None;
    };
    (*keyword == "mod" && group.delimiter() == Delimiter::Brace).then(|| name.to_string())
}

fn words_of(stream: TokenStream) -> Vec<String> {
    let mut words = Vec::new();
    for tree in stream {
        match tree {
            TokenTree::Ident(word) => words.push(word.to_string()),
            TokenTree::Group(group) => words.extend(words_of(group.stream())),
            _ => {}
        }
    }
    words
}

/// The content of a string literal as written, without its quotes.
fn string_of(tree: &TokenTree) -> Option<String> {
    let TokenTree::Literal(literal) = tree else { return None };
    let text = literal.to_string();
    let body = text.trim_start_matches(['b', 'c', 'r']).trim_matches('#');
    Some(body.strip_prefix('"')?.strip_suffix('"')?.to_owned())
}

#[test]
fn braces_in_strings_and_comments_do_not_count() {
    let source = r##"
        /// Not this: fn doc() {
        fn first() {
            let text = "}"; // }
            let raw = r#"fn second() { "#; /* { */
            let character = '{';
        }
        fn third();
        #[cfg(test)]
        mod tests { fn fourth() {} mod fifth; }
        fn sixth() -> [u8; { 1 + 1 }] { tokio }
    "##;
    let tokens = Tokens::parse(source).unwrap();
    let found: Vec<_> = tokens
        .functions
        .iter()
        .map(|function| (function.name.as_str(), function.line_count))
        .collect();
    assert_eq!(found, [("first", 5), ("fourth", 1), ("sixth", 1)]);
    let module = &tokens.modules[0];
    assert!(module.name == "fifth" && module.inside == ["tests"] && module.in_test);
    let word = tokens.tokens.iter().find(|token| token.text == "tokio").unwrap();
    assert!(!word.in_test && word.line == 11);
    assert!(tokens.tokens.iter().all(|token| token.text != "doc"));
}
