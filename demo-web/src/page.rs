//! The page that people look at: one document, no script, no further request.

use crate::Settings;

/// The page's HTML. It is made once; nothing on it changes while the server runs.
pub fn render(settings: &Settings) -> String {
    TEMPLATE
        .replace("{{color}}", &settings.color)
        .replace("{{title}}", &escape(&settings.title))
        .replace("{{greeting}}", &escape(&settings.greeting))
        .replace("{{version}}", &escape(&settings.version))
        .replace("{{pod}}", &escape(&settings.pod_name))
}

/// Makes text safe inside an element or a quoted attribute. A brace is escaped too, so that text
/// cannot be taken for one of the template's places.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            '{' => escaped.push_str("&#123;"),
            other => escaped.push(other),
        }
    }
    escaped
}

const TEMPLATE: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{{title}} {{version}}</title>
<style>
:root { --accent: {{color}}; color-scheme: light dark; }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
  font: 1rem/1.5 system-ui, sans-serif; color: #1d2421;
  background: linear-gradient(160deg, #fff, color-mix(in srgb, var(--accent) 16%, #fff)); }
main { width: min(34rem, 100%); background: #fff; border-radius: 1rem; overflow: hidden;
  box-shadow: 0 1px 2px rgb(0 0 0 / .08), 0 1.2rem 3rem rgb(0 0 0 / .12); }
header { padding: 2.5rem 2rem 2rem; color: #fff; background: var(--accent);
  background-image: linear-gradient(160deg, rgb(255 255 255 / .14), rgb(0 0 0 / .16)); }
h1 { margin: 0; font-size: 2.1rem; line-height: 1.15; letter-spacing: -.02em; overflow-wrap: anywhere; }
header p { margin: .5rem 0 0; font-size: 1.1rem; opacity: .92; overflow-wrap: anywhere; }
dl { display: grid; grid-template-columns: auto 1fr; gap: .5rem 1.5rem; margin: 0; padding: 1.75rem 2rem; }
dt { color: #6b756f; }
dd { margin: 0; font-family: ui-monospace, monospace; overflow-wrap: anywhere; }
dd.version { font-weight: 700; color: var(--accent); }
footer { padding: 0 2rem 1.75rem; color: #6b756f; font-size: .875rem; }
@media (prefers-color-scheme: dark) {
  body { color: #e8ecea; background: linear-gradient(160deg, #14181a, color-mix(in srgb, var(--accent) 22%, #14181a)); }
  main { background: #1e2426; }
  dt, footer { color: #98a39d; }
  dd.version { color: color-mix(in srgb, var(--accent) 55%, #fff); }
}
</style>
</head>
<body>
<main>
<header><h1>{{title}}</h1><p>{{greeting}}</p></header>
<dl><dt>Version</dt><dd class="version">{{version}}</dd><dt>Pod</dt><dd>{{pod}}</dd></dl>
<footer>Reload to meet another pod. Change the repository and commit to change this page.</footer>
</main>
</body>
</html>
"#;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_outside_cannot_become_markup_or_a_place_of_the_template() {
        let settings = Settings::read(
            |name| match name {
                "PAGE_TITLE" => Some("<b>'{{pod}}\"&".to_owned()),
                "POD_NAME" => Some("web-1".to_owned()),
                "VERSION" => Some("2".to_owned()),
                _ => None,
            },
            || None,
        )
        .unwrap();
        let page = render(&settings);
        assert!(page.contains("<h1>&lt;b&gt;&#39;&#123;&#123;pod}}&quot;&amp;</h1>"), "{page}");
        assert!(page.contains("<dd>web-1</dd>") && !page.contains("{{"));
    }
}
