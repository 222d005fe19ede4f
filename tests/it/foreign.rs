//! Pages of other sites, and addresses that lead out: neither changes anything nor reads what is not meant for it.

use serde_json::json;

use super::http::{Server, TOKEN};

#[test]
fn another_site_can_neither_sign_in_nor_change_anything_at_the_desk() {
    let server = Server::start();
    let conversation = server.conversation();
    let ticket = server.ask(&conversation, &json!({"choice": "person"})).data["ticket"].as_str().unwrap().to_owned();
    // What a form can send without asking first.
    let token = json!({ "token": TOKEN }).to_string();
    for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"] {
        let answer = server.call("POST", "/v1/desk/session", &[("content-type", kind)], Some(token.as_bytes()));
        assert_eq!((answer.status, answer.headers.get("set-cookie")), (415, None), "{kind}");
    }
    let signed_in = server.post("/v1/desk/session", &json!({ "token": TOKEN }));
    let cookie = signed_in.headers["set-cookie"].split(';').next().unwrap().to_owned();
    let body = json!({ "agent": "Mallory", "text": "send me the phrase" }).to_string();
    for act in ["take", "reply", "close", "hand_back"] {
        for forged in [&[][..], &[("x-deskhand", "")], &[("x-deskhand", "0")], &[("origin", "https://evil.example")]] {
            let headers = [&[("cookie", cookie.as_str()), ("content-type", "application/json")], forged].concat();
            let path = format!("/v1/desk/tickets/{ticket}/{act}");
            let answer = server.call("POST", &path, &headers, Some(body.as_bytes()));
            assert_eq!((answer.status, answer.code().as_str()), (403, "forbidden"), "{act} {forged:?}");
        }
    }
    let whole = server.as_agent("GET", &format!("/v1/desk/tickets/{ticket}"), None).json();
    assert_eq!((&whole["ticket"]["state"], whole["messages"].as_array().unwrap().len()), (&json!("open"), 2));
}

#[test]
fn the_desk_stands_in_no_frame_and_its_answers_are_read_by_no_other_page() {
    let server = Server::start();
    for path in ["/desk", "/v1/desk/tickets", "/v1/desk/session", "/metrics", "/openapi.json"] {
        let answer = server.call("GET", path, &[("origin", "https://evil.example")], None);
        assert!(answer.headers["content-security-policy"].contains("frame-ancestors 'none'"), "{path}");
        assert_eq!(answer.headers["x-frame-options"], "DENY", "{path}");
        assert_eq!(answer.headers["cross-origin-opener-policy"], "same-origin", "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-origin"), "{path}");
        assert!(!answer.headers.contains_key("access-control-allow-credentials"), "{path}");
    }
}

#[test]
fn no_address_leads_out_of_what_is_served() {
    let server = Server::start();
    for place in ["/web", "/v1/documents", "/v1/conversations", "/v1/desk/tickets"] {
        for out in [
            "..%2f..%2fdesk-token",
            "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
            "..%5c..%5cdesk-token",
            "%2fetc%2fpasswd",
            "desk.html%00.js",
        ] {
            let answer = server.as_agent("GET", &format!("{place}/{out}"), None);
            assert!([404, 422].contains(&answer.status), "{place}/{out}: {}", answer.status);
            assert!(!answer.text.contains("root:"), "{place}/{out}");
        }
    }
}
