//! What if one machine is not enough? A generator behind an OpenAI-shaped server (vLLM, llama.cpp, a provider), an
//! embedder behind a text-embeddings-inference-shaped one.

use std::{
    io::{BufRead, BufReader},
    ops::ControlFlow,
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Embed, EmbedAbilities, Generate, GenerateAbilities, Prompt, Side, Speaker, Stop, TokenCounter,
    decode::{Constraint, Sampling},
    embedder::to_unit_length,
};
use crate::error::{Error, Result};

/// Where a remote model is and how it is asked.
#[derive(Clone)]
pub struct Remote {
    /// The server, for instance `http://10.0.0.7:8000/v1` or `http://10.0.0.8:8080`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Sent as a bearer token. Never logged.
    pub key: Option<String>,
    /// Longest wait for the first byte of an answer, and between two of its parts.
    pub timeout: Duration,
}

/// A generator behind `POST {url}/chat/completions`, streamed.
pub struct RemoteGenerator {
    remote: Remote,
    agent: ureq::Agent,
    limit_tokens: usize,
    sampling: Sampling,
}

/// An embedder behind `POST {url}/embed`.
pub struct RemoteEmbedder {
    remote: Remote,
    agent: ureq::Agent,
    query_prefix: String,
    passage_prefix: String,
    texts_per_call: usize,
    abilities: EmbedAbilities,
}

impl RemoteGenerator {
    /// Asks nothing yet: the server may come up later than we do.
    pub fn new(remote: Remote, limit_tokens: usize, sampling: Sampling) -> Self {
        RemoteGenerator { agent: agent(&remote), remote, limit_tokens, sampling }
    }
}

impl Generate for RemoteGenerator {
    fn generate(
        &mut self,
        prompt: &Prompt,
        constraint: Option<&mut dyn Constraint>,
        limit_tokens: usize,
        on_text: &mut dyn FnMut(&str) -> ControlFlow<()>,
    ) -> Result<Stop> {
        if constraint.is_some() {
            return Err(Error::invalid("the request", "a constraint", "none: a remote generator cannot obey it"));
        }
        let messages: Vec<Value> = prompt
            .messages
            .iter()
            .map(|message| {
                let role = match message.speaker {
                    Speaker::System => "system",
                    Speaker::User => "user",
                    Speaker::Assistant => "assistant",
                };
                json!({ "role": role, "content": message.text.as_str() })
            })
            .collect();
        let mut body = json!({
            "model": self.remote.model, "messages": messages, "max_tokens": limit_tokens, "stream": true,
            "temperature": 0,
        });
        if let Sampling::Random { seed, temperature, top_p } = self.sampling {
            body["seed"] = json!(seed);
            body["temperature"] = json!(temperature);
            body["top_p"] = json!(top_p);
        }
        let response = post(&self.agent, &self.remote, "chat/completions", &body)?;
        let failed = Error::outside::<std::io::Error>;
        for line in BufReader::new(response.into_body().into_reader()).lines() {
            let line = line.map_err(failed("reading the remote generator's answer"))?;
            let Some(data) = line.strip_prefix("data:").map(str::trim) else { continue };
            if data == "[DONE]" {
                return Ok(Stop::End);
            }
            let part: Part =
                serde_json::from_str(data).map_err(Error::outside("reading the remote generator's answer"))?;
            let Some(choice) = part.choices.into_iter().next() else { continue };
            let text = choice.delta.content.unwrap_or_default();
            if on_text(&text).is_break() {
                return Ok(Stop::Cancelled); // Closing the connection tells the server.
            }
            match choice.finish_reason.as_deref() {
                Some("length") => return Ok(Stop::Limit),
                Some(_) => return Ok(Stop::End),
                None => {}
            }
        }
        // A stream that just ends was cut: half an answer must not pass for a whole one.
        Err(Error::Outside {
            act: "reading the remote generator's answer".into(),
            cause: "the stream ended before the answer did".into(),
        })
    }

    fn abilities(&self) -> GenerateAbilities {
        GenerateAbilities {
            name: self.remote.model.clone(),
            limit_tokens: self.limit_tokens,
            obeys_constraints: false,
            vocabulary: None,
        }
    }
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    choices: Vec<Choice>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    delta: Delta,
    finish_reason: Option<String>,
}

#[derive(Deserialize, Default)]
struct Delta {
    content: Option<String>,
}

#[derive(Deserialize)]
struct Info {
    model_id: String,
    model_sha: Option<String>,
    max_input_length: usize,
    max_client_batch_size: Option<usize>,
}

impl RemoteEmbedder {
    /// Asks the server what it runs, and for one vector to learn its length.
    pub fn connect(remote: Remote, query_prefix: &str, passage_prefix: &str) -> Result<Self> {
        let agent = agent(&remote);
        let url = format!("{}/info", remote.url.trim_end_matches('/'));
        let mut request = agent.get(&url);
        if let Some(key) = &remote.key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        let act = || format!("asking the remote embedder {} what it is", remote.url);
        let mut response = request.call().map_err(Error::outside(act()))?;
        if !response.status().is_success() {
            return Err(refused(&response, act()));
        }
        let info: Info = response.body_mut().read_json().map_err(Error::outside(act()))?;
        let revision = info.model_sha.unwrap_or_default();
        let mut embedder = RemoteEmbedder {
            agent,
            query_prefix: query_prefix.to_owned(),
            passage_prefix: passage_prefix.to_owned(),
            texts_per_call: info.max_client_batch_size.unwrap_or(32).max(1),
            abilities: EmbedAbilities {
                dims: 0,
                limit_tokens: info.max_input_length,
                fingerprint: format!("{}@{revision}|{query_prefix}|{passage_prefix}", info.model_id),
            },
            remote,
        };
        let vectors = embedder.call(vec!["ping".into()])?;
        embedder.abilities.dims = vectors.first().map_or(0, Vec::len);
        Ok(embedder)
    }

    fn call(&self, texts: Vec<String>) -> Result<Vec<Vec<f32>>> {
        let expected = texts.len();
        // `truncate: false`: a text that is too long is an error there, never cut in silence.
        let body = json!({ "inputs": texts, "normalize": true, "truncate": false });
        let mut response = post(&self.agent, &self.remote, "embed", &body)?;
        let act = "reading the remote embedder's answer";
        let mut vectors: Vec<Vec<f32>> = response.body_mut().read_json().map_err(Error::outside(act))?;
        let dims = self.abilities.dims;
        if vectors.len() != expected || vectors.iter().any(|vector| dims != 0 && vector.len() != dims) {
            let cause = format!("{} vectors for {expected} texts, or not of {dims} dims", vectors.len());
            return Err(Error::Outside { act: act.into(), cause: cause.into() });
        }
        vectors.iter_mut().for_each(|vector| to_unit_length(vector));
        Ok(vectors)
    }
}

impl Embed for RemoteEmbedder {
    fn embed(&mut self, side: Side, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let prefix = match side {
            Side::Query => &self.query_prefix,
            Side::Passage => &self.passage_prefix,
        };
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(self.texts_per_call) {
            vectors.extend(self.call(texts.iter().map(|text| format!("{prefix}{text}")).collect())?);
        }
        Ok(vectors)
    }

    /// An estimate, on the high side: one token per wide character, one per three other bytes. Asking the server
    /// for each count would cost more than it is worth.
    fn counter(&self) -> TokenCounter {
        Arc::new(|text| {
            let wide = text.chars().filter(|c| *c as u32 >= 0x2e80).count();
            let narrow: usize = text.chars().filter(|c| (*c as u32) < 0x2e80).map(char::len_utf8).sum();
            wide + narrow.div_ceil(3)
        })
    }

    fn abilities(&self) -> EmbedAbilities {
        self.abilities.clone()
    }
}

fn agent(remote: &Remote) -> ureq::Agent {
    ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(5).min(remote.timeout)))
        .timeout_recv_response(Some(remote.timeout))
        .timeout_per_read(Some(remote.timeout))
        .build()
        .into()
}

fn post(agent: &ureq::Agent, remote: &Remote, path: &str, body: &Value) -> Result<ureq::http::Response<ureq::Body>> {
    let mut request = agent.post(format!("{}/{path}", remote.url.trim_end_matches('/')));
    if let Some(key) = &remote.key {
        request = request.header("authorization", format!("Bearer {key}"));
    }
    let act = || format!("asking the remote model at {}", remote.url);
    let response = request.send_json(body).map_err(Error::outside(act()))?;
    if response.status().is_success() { Ok(response) } else { Err(refused(&response, act())) }
}

/// Only the status goes into the error: the body may repeat what we sent.
fn refused(response: &ureq::http::Response<ureq::Body>, act: String) -> Error {
    match response.status().as_u16() {
        429 | 503 => Error::Busy { what: "the remote model", limit: 0 },
        status => Error::Outside { act, cause: format!("it answered with status {status}").into() },
    }
}

#[cfg(test)]
mod tests {
    use wiremock::{
        Mock, MockServer, ResponseTemplate,
        matchers::{body_partial_json, header, method, path},
    };

    use super::*;
    use crate::{model::Message, safety::mask};

    fn remote(server: &MockServer) -> Remote {
        Remote { url: server.uri(), model: "m".into(), key: Some("k".into()), timeout: Duration::from_secs(2) }
    }

    async fn generate(status: u16, stream: &str) -> (Result<Stop>, String) {
        let server = MockServer::start().await;
        Mock::given(method("POST"))
            .and(path("/chat/completions"))
            .and(header("authorization", "Bearer k"))
            .and(body_partial_json(json!({
                "model": "m", "stream": true, "max_tokens": 7, "messages": [{ "role": "user", "content": "hi" }]
            })))
            .respond_with(ResponseTemplate::new(status).set_body_raw(stream.to_owned(), "text/event-stream"))
            .mount(&server)
            .await;
        let mut generator = RemoteGenerator::new(remote(&server), 100, Sampling::Greedy);
        tokio::task::spawn_blocking(move || {
            let prompt = Prompt { messages: vec![Message { speaker: Speaker::User, text: mask("hi") }] };
            let mut said = String::new();
            let stop = generator.generate(&prompt, None, 7, &mut |text| {
                said.push_str(text);
                ControlFlow::Continue(())
            });
            (stop, said)
        })
        .await
        .unwrap()
    }

    #[tokio::test]
    async fn a_streamed_answer_is_read_to_its_end() {
        let part = |text: &str, end: &str| {
            format!("data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":{end}}}]}}\n\n")
        };
        let whole = format!(": ping\n\n{}{}data: [DONE]\n\n", part("你", "null"), part("好", "\"stop\""));
        let (stop, said) = generate(200, &whole).await;
        assert_eq!((stop.unwrap(), said.as_str()), (Stop::End, "你好"));
        let (stop, _) = generate(200, &part("a", "\"length\"")).await;
        assert_eq!(stop.unwrap(), Stop::Limit);
        let (stop, said) = generate(200, &part("half", "null")).await;
        assert!(stop.is_err(), "a cut stream passed for a whole answer: {said}");
    }

    #[tokio::test]
    async fn a_busy_server_is_load_and_a_broken_one_is_ours() {
        use crate::error::Fault;
        for (status, fault) in [(429, Fault::Load), (503, Fault::Load), (500, Fault::Ours), (404, Fault::Ours)] {
            let (stop, _) = generate(status, "secret echo").await;
            let error = stop.unwrap_err();
            assert_eq!(error.fault(), fault, "{status}");
            assert!(!crate::error::chain(&error).contains("secret"));
        }
    }

    #[tokio::test]
    async fn a_remote_embedder_learns_what_it_is_and_keeps_batches_small() {
        let server = MockServer::start().await;
        let info = json!({ "model_id": "e", "model_sha": "s", "max_input_length": 512, "max_client_batch_size": 2 });
        Mock::given(method("GET"))
            .and(path("/info"))
            .respond_with(ResponseTemplate::new(200).set_body_json(info))
            .mount(&server)
            .await;
        let answer = |request: &wiremock::Request| {
            let body: Value = serde_json::from_slice(&request.body).unwrap();
            let inputs = body["inputs"].as_array().unwrap();
            assert!(inputs.len() <= 2);
            let rows: Vec<[usize; 2]> = inputs.iter().map(|text| [text.as_str().unwrap().len(), 0]).collect();
            ResponseTemplate::new(200).set_body_json(rows)
        };
        Mock::given(method("POST")).and(path("/embed")).respond_with(answer).mount(&server).await;
        let remote = remote(&server);
        let (abilities, vectors) = tokio::task::spawn_blocking(move || {
            let mut embedder = RemoteEmbedder::connect(remote, "q: ", "p: ").unwrap();
            let vectors = embedder.embed(Side::Query, &["a", "bb", "ccc"]).unwrap();
            (embedder.abilities(), vectors)
        })
        .await
        .unwrap();
        assert_eq!((abilities.dims, abilities.fingerprint.as_str()), (2, "e@s|q: |p: "));
        assert_eq!(vectors, [[1.0, 0.0]; 3]);
        assert_eq!(server.received_requests().await.unwrap().len(), 1 + 1 + 2);
    }
}
