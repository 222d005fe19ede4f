//! A customer's end of the line: what several flows need to speak to a server and to hear its events.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    net::SocketAddr,
    time::Duration,
};

use serde_json::{Value, json};

/// Speaks HTTP to one server.
pub struct Client {
    pub address: SocketAddr,
    agent: ureq::Agent,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .allow_non_standard_methods(true)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .new_agent();
        Client { address, agent }
    }

    pub fn call(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Option<&[u8]>) -> Answer {
        self.try_call(method, path, headers, body).unwrap()
    }

    /// An error where no answer came: the server may be gone.
    pub fn try_call(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<&[u8]>,
    ) -> Result<Answer, ureq::Error> {
        let mut request = ureq::http::Request::builder().method(method).uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut response = match body {
            Some(body) => self.agent.run(request.body(body).unwrap())?,
            None => self.agent.run(request.body(()).unwrap())?,
        };
        let headers =
            response.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()));
        let headers = headers.collect();
        let text = response.body_mut().read_to_string()?;
        Ok(Answer { status: response.status().as_u16(), headers, text })
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call("GET", path, &[], None)
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body).unwrap()
    }

    pub fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        self.try_call("POST", path, &[("content-type", "application/json")], Some(body.to_string().as_bytes()))
    }

    pub fn conversation(&self) -> String {
        let started = self.post("/v1/conversations", &json!({"lang": "en"}));
        assert_eq!(started.status, 201, "{}", started.text);
        started.json()["id"].as_str().unwrap().to_owned()
    }

    pub fn say(&self, conversation: &str, body: &Value) -> Answer {
        self.post(&format!("/v1/conversations/{conversation}/messages"), body)
    }

    pub fn events(&self, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut request = ureq::http::Request::builder().uri(format!("http://{}{path}", self.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.agent.run(request.body(()).unwrap()).unwrap();
        assert_eq!(response.status().as_u16(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Events { lines: BufReader::new(response.into_body().into_reader()), comments: 0 }
    }

    pub fn follow(&self, conversation: &str, after: i64) -> Events {
        self.events(&format!("/v1/conversations/{conversation}/events?after={after}"), &[])
    }
}

pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub text: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    /// The problem's code; proves its shape.
    pub fn code(&self) -> String {
        let json = self.json();
        assert!(json["error"]["text"].as_str().is_some_and(|text| text.len() > 5), "{json}");
        json["error"]["code"].as_str().unwrap().to_owned()
    }
}

#[derive(Debug, Clone)]
pub struct Event {
    pub id: i64,
    pub kind: String,
    pub data: Value,
}

pub struct Events {
    lines: BufReader<ureq::BodyReader<'static>>,
    pub comments: usize,
}

impl Events {
    /// The next event; `None` when the stream has ended.
    pub fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind, mut data) = (0, String::new(), String::new());
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            match line.trim_end().split_once(':') {
                Some(("", _)) => self.comments += 1,
                Some(("id", value)) => id = value.trim().parse().unwrap(),
                Some(("event", value)) => kind = value.trim().to_owned(),
                Some(("data", value)) => data.push_str(value.trim()),
                _ if line.trim().is_empty() && !kind.is_empty() => {
                    return Some(Event { id, kind, data: serde_json::from_str(&data).unwrap() });
                }
                _ => {}
            }
        }
    }

    pub fn until(&mut self, found: impl Fn(&Event) -> bool) -> Event {
        loop {
            let event = self.next().expect("the stream ended");
            if found(&event) {
                return event;
            }
        }
    }
}
