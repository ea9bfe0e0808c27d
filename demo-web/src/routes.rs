//! What each address answers. No I/O: what has to be done beside answering is handed back.

use std::time::Duration;

use crate::control::{Check, Control};
use crate::http::{Request, Response};
use crate::{Settings, page};

/// The longest time for which `/slow` keeps its client waiting.
const SLOW_LIMIT_SECONDS: u64 = 300;

/// The addresses of one server, with what they show.
#[derive(Debug)]
pub struct Routes {
    page: String,
    version: String,
    pod_name: String,
}

/// An answer, and what goes with it.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub response: Response,
    /// How long the client waits for it.
    pub delay: Duration,
    /// The process ends with this code once the answer is out.
    pub exit: Option<u8>,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Answer {
        Answer { response, delay: Duration::ZERO, exit: None }
    }
}

impl Routes {
    pub fn new(settings: &Settings) -> Routes {
        Routes {
            page: page::render(settings),
            version: format!("{}\n", settings.version),
            pod_name: format!("{}\n", settings.pod_name),
        }
    }

    pub fn answer(&self, request: &Request, control: &Control) -> Answer {
        let reads = matches!(request.method.as_str(), "GET" | "HEAD");
        let steers = request.method == "POST";
        match request.path.as_str() {
            "/" | "/version" | "/pod" | "/healthz" | "/readyz" | "/metrics" if !reads => {
                refuse_method("GET, HEAD")
            }
            "/" => self.show_page(),
            "/version" => Response::text(200, self.version.clone()).into(),
            "/pod" => Response::text(200, self.pod_name.clone()).into(),
            "/healthz" => check(control.fails(Check::Health), "told to be unhealthy"),
            "/readyz" if control.is_draining() => check(true, "draining"),
            "/readyz" => check(control.fails(Check::Ready), "told to be unready"),
            "/metrics" => metrics(control),
            "/slow" if reads || steers => slow(&request.query),
            "/slow" => refuse_method("GET, HEAD, POST"),
            "/fail/healthz" | "/recover/healthz" | "/fail/readyz" | "/recover/readyz" | "/exit"
                if !steers =>
            {
                refuse_method("POST")
            }
            "/fail/healthz" => switch(control, Check::Health, true),
            "/recover/healthz" => switch(control, Check::Health, false),
            "/fail/readyz" => switch(control, Check::Ready, true),
            "/recover/readyz" => switch(control, Check::Ready, false),
            "/exit" => exit(&request.query),
            _ => Response::text(404, "There is nothing here.\n").into(),
        }
    }

    fn show_page(&self) -> Answer {
        Response {
            status: 200,
            content_type: "text/html; charset=utf-8",
            body: self.page.clone().into(),
            allow: None,
        }
        .into()
    }
}

fn check(fails: bool, why: &str) -> Answer {
    if fails {
        Response::text(503, format!("failing: {why}\n")).into()
    } else {
        Response::text(200, "ok\n").into()
    }
}

fn switch(control: &Control, check: Check, fails: bool) -> Answer {
    control.set_fails(check, fails);
    let path = match check {
        Check::Health => "/healthz",
        Check::Ready => "/readyz",
    };
    let now = if fails { "fails" } else { "succeeds" };
    Response::text(200, format!("{path} {now} from now on\n")).into()
}

fn slow(query: &str) -> Answer {
    match number(query, "seconds", 1, SLOW_LIMIT_SECONDS) {
        Ok(seconds) => Answer {
            delay: Duration::from_secs(seconds),
            ..Response::text(200, format!("waited {seconds} s\n")).into()
        },
        Err(refusal) => refusal,
    }
}

fn exit(query: &str) -> Answer {
    match number(query, "code", 0, 255) {
        Ok(code) => Answer {
            exit: u8::try_from(code).ok(),
            ..Response::text(200, format!("exits with code {code}\n")).into()
        },
        Err(refusal) => refusal,
    }
}

/// A query's only parameter, or its default when the query is empty.
fn number(query: &str, name: &str, default: u64, limit: u64) -> Result<u64, Answer> {
    if query.is_empty() {
        return Ok(default);
    }
    query
        .strip_prefix(name)
        .and_then(|rest| rest.strip_prefix('='))
        .and_then(|value| value.parse().ok())
        .filter(|value| *value <= limit)
        .ok_or_else(|| {
            Response::text(400, format!("Ask with ?{name}=N, N from 0 to {limit}.\n")).into()
        })
}

fn metrics(control: &Control) -> Answer {
    let mut body = String::from(
        "# HELP dugout_web_requests_total Requests answered, by class of status.\n\
         # TYPE dugout_web_requests_total counter\n",
    );
    for class in 1..=5 {
        let count = control.answers(class);
        body.push_str(&format!("dugout_web_requests_total{{code=\"{class}xx\"}} {count}\n"));
    }
    body.push_str(&format!(
        "# HELP dugout_web_connections Connections that are open.\n\
         # TYPE dugout_web_connections gauge\n\
         dugout_web_connections {}\n",
        control.connections()
    ));
    let content_type = "text/plain; version=0.0.4; charset=utf-8";
    Response { content_type, ..Response::text(200, body) }.into()
}

fn refuse_method(allow: &'static str) -> Answer {
    let body = format!("This address takes {allow} only.\n");
    Response { allow: Some(allow), ..Response::text(405, body) }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::BodyFraming;

    fn answer(control: &Control, method: &str, target: &str) -> Answer {
        let settings = Settings::read(|_| None, || Some("web-1".to_owned())).unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            query: query.to_owned(),
            body: BodyFraming::Length(0),
            keep_alive: true,
            expects_continue: false,
        };
        Routes::new(&settings).answer(&request, control)
    }

    fn status(control: &Control, method: &str, target: &str) -> u16 {
        answer(control, method, target).response.status
    }

    #[test]
    fn checks_fail_and_recover_each_by_itself() {
        let control = Control::new(false, true);
        assert_eq!(status(&control, "GET", "/healthz"), 200);
        assert_eq!(status(&control, "GET", "/readyz"), 503);
        assert_eq!(status(&control, "POST", "/recover/readyz"), 200);
        assert_eq!(status(&control, "POST", "/fail/healthz"), 200);
        assert_eq!(status(&control, "GET", "/readyz"), 200);
        assert_eq!(status(&control, "GET", "/healthz"), 503);
    }

    #[test]
    fn a_draining_server_is_healthy_and_not_ready() {
        let control = Control::new(false, false);
        control.start_draining();
        assert_eq!(status(&control, "GET", "/readyz"), 503);
        assert_eq!(status(&control, "GET", "/healthz"), 200);
    }

    #[test]
    fn reading_steers_nothing_and_unknown_addresses_are_not_found() {
        let control = Control::new(false, false);
        assert_eq!(status(&control, "GET", "/fail/healthz"), 405);
        assert_eq!(status(&control, "GET", "/exit"), 405);
        assert_eq!(status(&control, "POST", "/"), 405);
        assert_eq!(status(&control, "GET", "/nothing"), 404);
        assert_eq!(status(&control, "HEAD", "/"), 200);
    }

    #[test]
    fn waiting_and_exiting_are_bounded() {
        let control = Control::new(false, false);
        assert_eq!(answer(&control, "GET", "/slow?seconds=2").delay, Duration::from_secs(2));
        assert_eq!(answer(&control, "POST", "/exit?code=3").exit, Some(3));
        assert_eq!(answer(&control, "POST", "/exit").exit, Some(0));
        for target in ["/slow?seconds=301", "/slow?seconds=x", "/exit?code=256", "/exit?cod=1"] {
            assert_eq!(status(&control, "POST", target), 400, "{target}");
        }
    }
}
