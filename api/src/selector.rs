//! Label and field selectors as they stand in a query, parsed strictly.

use std::iter::Peekable;
use std::str::Chars;

/// A parsed `labelSelector`. An empty one matches everything.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct LabelQuery(Vec<Requirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Exists,
    DoesNotExist,
    In(Vec<String>),
    NotIn(Vec<String>),
    GreaterThan(i64),
    LessThan(i64),
}

/// A parsed `fieldSelector`: fields that must, or must not, have a value.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct FieldQuery(Vec<FieldRequirement>);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRequirement {
    pub field: String,
    pub value: String,
    pub equal: bool,
}

/// What is wrong with a selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    #[error("unable to parse the label selector \"{text}\": {what}")]
    Label { text: String, what: String },
    #[error("unable to parse the field selector \"{text}\": {what}")]
    Field { text: String, what: String },
}

impl LabelQuery {
    /// Parses Kubernetes' grammar: `a=b`, `a==b`, `a!=b`, `a in (b,c)`, `a notin (b,c)`, `a`, `!a`,
    /// `a>1`, `a<1`, joined by commas.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let wrong = |what: String| SelectorError::Label { text: text.to_owned(), what };
        let mut words = Words::new(text);
        let mut requirements = Vec::new();
        if words.peek().map_err(&wrong)?.is_none() {
            return Ok(Self(requirements));
        }
        loop {
            requirements.push(requirement(&mut words).map_err(&wrong)?);
            match words.next().map_err(&wrong)? {
                None => return Ok(Self(requirements)),
                Some(Word::Comma) => {}
                Some(other) => {
                    return Err(wrong(format!("found '{}' where ',' was expected", other.show())));
                }
            }
        }
    }

    /// Whether an object matches whose labels `value_of` looks up.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.0.iter().all(|requirement| {
            let value = value_of(&requirement.key);
            match &requirement.test {
                Test::Exists => value.is_some(),
                Test::DoesNotExist => value.is_none(),
                Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
                Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
                Test::GreaterThan(bound) => number(value).is_some_and(|value| value > *bound),
                Test::LessThan(bound) => number(value).is_some_and(|value| value < *bound),
            }
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FieldQuery {
    /// Parses `field=value`, `field==value` and `field!=value`, joined by commas; a backslash takes
    /// the meaning from the `,`, `=` or `\` after it.
    pub fn parse(text: &str) -> Result<Self, SelectorError> {
        let wrong =
            |what: &str| SelectorError::Field { text: text.to_owned(), what: what.to_owned() };
        let mut requirements = Vec::new();
        for term in split_unescaped(text) {
            if term.is_empty() {
                continue;
            }
            let (field, value, equal) = split_term(term)
                .ok_or_else(|| wrong("each term must be field=value or field!=value"))?;
            let value = unescape(value)
                .ok_or_else(|| wrong("a value has a stray '=' or '\\'; write '\\=' or '\\\\'"))?;
            requirements.push(FieldRequirement { field: field.to_owned(), value, equal });
        }
        Ok(Self(requirements))
    }

    pub fn requirements(&self) -> &[FieldRequirement] {
        &self.0
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value that a field must have, if the query names exactly one.
    pub fn exact(&self, field: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|requirement| requirement.equal && requirement.field == field)
            .map(|requirement| requirement.value.as_str())
    }
}

fn number(value: Option<&str>) -> Option<i64> {
    value?.parse().ok()
}

/// One requirement of a label selector.
fn requirement(words: &mut Words<'_>) -> Result<Requirement, String> {
    let first = words.next()?;
    if first == Some(Word::Not) {
        let key = key(words.next()?)?;
        return Ok(Requirement { key, test: Test::DoesNotExist });
    }
    let key = key(first)?;
    let test = match words.peek()? {
        None | Some(Word::Comma) => Test::Exists,
        Some(_) => operator(words)?,
    };
    Ok(Requirement { key, test })
}

/// The operator after a key, with what it compares to.
fn operator(words: &mut Words<'_>) -> Result<Test, String> {
    match words.next()? {
        Some(Word::Equal) => Ok(Test::In(vec![single_value(words)?])),
        Some(Word::NotEqual) => Ok(Test::NotIn(vec![single_value(words)?])),
        Some(Word::Greater) => Ok(Test::GreaterThan(bound(words)?)),
        Some(Word::Less) => Ok(Test::LessThan(bound(words)?)),
        Some(Word::Text(word)) if word == "in" => Ok(Test::In(value_set(words)?)),
        Some(Word::Text(word)) if word == "notin" => Ok(Test::NotIn(value_set(words)?)),
        other => Err(format!(
            "found '{}' where one of =, ==, !=, in, notin, <, > was expected",
            other.map_or_else(|| "the end".to_owned(), |word| word.show())
        )),
    }
}

fn key(word: Option<Word>) -> Result<String, String> {
    match word {
        Some(Word::Text(text)) => {
            check_key(&text)?;
            Ok(text)
        }
        Some(other) => Err(format!("found '{}' where a label's key was expected", other.show())),
        None => Err("a label's key was expected at the end".to_owned()),
    }
}

fn single_value(words: &mut Words<'_>) -> Result<String, String> {
    match words.peek()? {
        None | Some(Word::Comma) => Ok(String::new()),
        Some(Word::Text(_)) => value(words.next()?),
        Some(other) => Err(format!("found '{}' where a value was expected", other.show())),
    }
}

fn value(word: Option<Word>) -> Result<String, String> {
    match word {
        Some(Word::Text(text)) => {
            check_value(&text)?;
            Ok(text)
        }
        _ => Err("a value was expected".to_owned()),
    }
}

fn bound(words: &mut Words<'_>) -> Result<i64, String> {
    let text = single_value(words)?;
    text.parse().map_err(|_| format!("'{text}' is not a whole number, which < and > need"))
}

/// `(a,b,)`: an empty place is the empty value, as in Kubernetes.
fn value_set(words: &mut Words<'_>) -> Result<Vec<String>, String> {
    if words.next()? != Some(Word::Open) {
        return Err("'(' was expected after in or notin".to_owned());
    }
    let mut values = Vec::new();
    loop {
        values.push(match words.peek()? {
            Some(Word::Comma | Word::Close) => String::new(),
            _ => value(words.next()?)?,
        });
        match words.next()? {
            Some(Word::Comma) => {}
            Some(Word::Close) => return Ok(values),
            _ => return Err("',' or ')' was expected in the list of values".to_owned()),
        }
    }
}

/// A qualified name: an optional DNS prefix and a slash, then at most 63 characters.
fn check_key(text: &str) -> Result<(), String> {
    let (prefix, name) = match text.split_once('/') {
        Some((prefix, name)) => (Some(prefix), name),
        None => (None, text),
    };
    let prefix_good = prefix.is_none_or(|prefix| {
        !prefix.is_empty()
            && prefix.len() <= 253
            && prefix
                .chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
    });
    if prefix_good && !name.is_empty() && is_label_text(name) {
        Ok(())
    } else {
        Err(format!("'{text}' is not a valid label key"))
    }
}

fn check_value(text: &str) -> Result<(), String> {
    if is_label_text(text) { Ok(()) } else { Err(format!("'{text}' is not a valid label value")) }
}

/// At most 63 of letters, digits, `-`, `_`, `.`; a letter or digit at both ends. May be empty.
fn is_label_text(text: &str) -> bool {
    let ends_good = |end: Option<char>| end.is_none_or(|c| c.is_ascii_alphanumeric());
    text.len() <= 63
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
        && ends_good(text.chars().next())
        && ends_good(text.chars().last())
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Text(String),
    Equal,
    NotEqual,
    Not,
    Greater,
    Less,
    Comma,
    Open,
    Close,
}

impl Word {
    fn show(&self) -> String {
        match self {
            Word::Text(text) => text.clone(),
            Word::Equal => "=".to_owned(),
            Word::NotEqual => "!=".to_owned(),
            Word::Not => "!".to_owned(),
            Word::Greater => ">".to_owned(),
            Word::Less => "<".to_owned(),
            Word::Comma => ",".to_owned(),
            Word::Open => "(".to_owned(),
            Word::Close => ")".to_owned(),
        }
    }
}

/// The words of a label selector, one ahead.
struct Words<'a> {
    characters: Peekable<Chars<'a>>,
    ahead: Option<Option<Word>>,
}

impl<'a> Words<'a> {
    fn new(text: &'a str) -> Self {
        Self { characters: text.chars().peekable(), ahead: None }
    }

    fn peek(&mut self) -> Result<Option<Word>, String> {
        if let Some(word) = &self.ahead {
            return Ok(word.clone());
        }
        let word = self.read()?;
        self.ahead = Some(word.clone());
        Ok(word)
    }

    fn next(&mut self) -> Result<Option<Word>, String> {
        match self.ahead.take() {
            Some(word) => Ok(word),
            None => self.read(),
        }
    }

    fn read(&mut self) -> Result<Option<Word>, String> {
        while self.characters.next_if(|c| c.is_whitespace()).is_some() {}
        let Some(first) = self.characters.next() else { return Ok(None) };
        let word = match first {
            '=' => {
                self.characters.next_if_eq(&'=');
                Word::Equal
            }
            '!' if self.characters.next_if_eq(&'=').is_some() => Word::NotEqual,
            '!' => Word::Not,
            '>' => Word::Greater,
            '<' => Word::Less,
            ',' => Word::Comma,
            '(' => Word::Open,
            ')' => Word::Close,
            other => self.text(other),
        };
        Ok(Some(word))
    }

    fn text(&mut self, first: char) -> Word {
        let mut text = String::from(first);
        let goes_on = |c: &char| !c.is_whitespace() && !"=!><,()".contains(*c);
        while let Some(next) = self.characters.next_if(goes_on) {
            text.push(next);
        }
        Word::Text(text)
    }
}

/// Splits at commas that no backslash escapes.
fn split_unescaped(text: &str) -> Vec<&str> {
    let (mut terms, mut start, mut escaped) = (Vec::new(), 0, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                terms.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    terms.push(&text[start..]);
    terms
}

fn split_term(term: &str) -> Option<(&str, &str, bool)> {
    let at = term.find(['=', '!'])?;
    let (field, rest) = term.split_at(at);
    let (rest, equal) = if let Some(rest) = rest.strip_prefix("!=") {
        (rest, false)
    } else if let Some(rest) = rest.strip_prefix("==") {
        (rest, true)
    } else {
        (rest.strip_prefix('=')?, true)
    };
    (!field.is_empty()).then_some((field, rest, equal))
}

fn unescape(text: &str) -> Option<String> {
    let mut result = String::with_capacity(text.len());
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next()? {
                escaped @ ('\\' | ',' | '=') => result.push(escaped),
                _ => return None,
            },
            '=' => return None,
            other => result.push(other),
        }
    }
    Some(result)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(selector: &str, labels: &[(&str, &str)]) -> bool {
        LabelQuery::parse(selector)
            .unwrap_or_else(|error| panic!("{error}"))
            .matches(|key| labels.iter().find(|(k, _)| *k == key).map(|(_, value)| *value))
    }

    #[test]
    fn every_form_of_the_label_grammar_decides_as_kubernetes_does() {
        let labels = [("app", "web"), ("tier", "front"), ("size", "12"), ("empty", "")];
        for good in [
            "",
            " ",
            "app=web",
            "app==web",
            "app = web",
            "app!=db",
            "other!=x",
            "app in (web,db)",
            "app in ( web , db ),tier",
            "app notin (db)",
            "other notin (x)",
            "app",
            "!other",
            "! other",
            "size>11,size<13",
            "empty=",
            "empty in (,x)",
            "app.kubernetes.io/name notin (x)",
            "!app.kubernetes.io/name,app=web",
        ] {
            assert!(matches(good, &labels), "{good}");
        }
        for bad in ["app=db", "app!=web", "app in (db)", "app notin (web)", "!app", "other"] {
            assert!(!matches(bad, &labels), "{bad}");
        }
        assert!(!matches("size>12", &labels));
        assert!(!matches("app<5", &labels));
    }

    #[test]
    fn a_broken_label_selector_is_refused_with_a_sentence() {
        for text in [
            "=", "a=b=c", "a in b", "a in (b", "a,,b", ",", "a b", "a>x", "-a", "a=b c", "!",
            "a(b)",
        ] {
            let error = LabelQuery::parse(text).expect_err(text);
            assert!(error.to_string().contains(text), "{error}");
        }
    }

    #[test]
    fn field_selectors_split_at_commas_that_are_not_escaped() {
        let query = FieldQuery::parse("metadata.name=a,status.phase!=Failed,x==a\\,b\\=c")
            .expect("a good selector");
        assert_eq!(query.exact("metadata.name"), Some("a"));
        assert_eq!(query.exact("status.phase"), None);
        assert_eq!(query.exact("x"), Some("a,b=c"));
        assert_eq!(query.requirements().len(), 3);
        for text in ["a", "=b", "a=b=c", "a=\\x", "a!b"] {
            assert!(FieldQuery::parse(text).is_err(), "{text}");
        }
    }
}
