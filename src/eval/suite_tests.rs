//! Suites as people write them, good lines and bad.

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

#[test]
fn a_manifest_names_the_split_and_a_line_may_override_it() {
    let folder = folder(&[
        ("suite.toml", "name = \"w\"\nknowledge = \"k\"\n[[questions]]\nfile = \"a.jsonl\"\nsplit = \"certify\"\n"),
        (
            "a.jsonl",
            "{\"id\":\"1\",\"question\":\"费用?\",\"relevant\":[\"fee\"],\"answerable\":true,\"expected\":\"offer\",\"must\":true}\n\
             {\"id\":\"2\",\"question\":\"tea\",\"lang\":\"en\",\"answerable\":false,\"kind\":\"off_topic\",\"split\":\"fit\"}\n",
        ),
    ]);
    let suite = Suite::from_folder(folder.path()).unwrap();
    assert_eq!(suite.knowledge, vec![folder.path().join("k")]);
    let [one, two] = &suite.questions[..] else { panic!("{suite:?}") };
    assert_eq!((one.lang, one.split.as_deref(), one.must), (Lang::Zh, Some("certify"), true));
    assert_eq!((&one.expected[..], &two.split), (&[Ending::Offer][..], &Some("fit".to_owned())));
    assert_eq!(suite.of_splits(&["fit".to_owned()]).questions.len(), 1);
}

#[test]
fn a_suite_may_name_its_day() {
    let line = "{\"id\":\"1\",\"question\":\"a\",\"answerable\":false}";
    let of = |day: &str| {
        let manifest = format!("name = \"w\"\n{day}\n[[questions]]\nfile = \"a.jsonl\"\n");
        Suite::from_folder(folder(&[("suite.toml", &manifest), ("a.jsonl", line)]).path())
    };
    let day = Some(jiff::civil::date(2026, 11, 22));
    assert_eq!(of("day = 2026-11-22").unwrap().day, day);
    assert_eq!(of("day = \"2026-11-22\"").unwrap().day, day);
    assert_eq!(of("").unwrap().day, None);
    assert!(of("day = \"soon\"").unwrap_err().to_string().contains("such as 2026-11-22"));
}

#[test]
fn a_bad_line_is_reported_with_its_place_and_the_rest_goes_in() {
    let folder = folder(&[(
        "questions.jsonl",
        "{\"id\":\"1\",\"question\":\"a\",\"relevant\":[\"d\"],\"answerable\":true}\n\
         not json\n\n\
         {\"id\":\"2\",\"question\":\"b\",\"relevant\":[],\"answerable\":true}\n\
         {\"id\":\"1\",\"question\":\"c\",\"relevant\":[\"d\"],\"answerable\":true}\n\
         {\"id\":\"3\",\"question\":\"c\",\"relevant\":[\"d\"],\"answerable\":true,\"nuggets\":[\"(\"]}\n\
         {\"id\":\"4\",\"question\":\"c\",\"lang\":\"fr\",\"answerable\":false}\n",
    )]);
    let suite = Suite::from_folder(folder.path()).unwrap();
    assert_eq!(suite.questions.len(), 1);
    let mut bad: Vec<(usize, &str)> = suite.bad.iter().map(|bad| (bad.line, bad.reason.as_str())).collect();
    bad.sort_unstable();
    assert_eq!(bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 5, 6, 7]);
    assert!(bad[1].1.contains("relevant") && bad[2].1.contains("came before"), "{bad:?}");
    assert!(bad[3].1.contains("nugget `(`") && bad[4].1.contains("`fr`"), "{bad:?}");
}

#[test]
fn cases_are_read_beside_the_questions() {
    let case = r#"{"id":"c","lang":"zh","messages":[{"role":"user","text":"转人工"}],"facts":[{"slot":"bank","value":"工行"}]}"#;
    let question = "{\"id\":\"1\",\"question\":\"a\",\"answerable\":false,\"expected\":[\"offer\",\"handoff\"]}";
    let folder = folder(&[("questions.jsonl", question), ("cases.jsonl", &format!("{case}\n{{}}\n"))]);
    let suite = Suite::from_folder(folder.path()).unwrap();
    assert_eq!((suite.cases.len(), suite.bad.len()), (1, 1));
    assert_eq!(suite.questions[0].expected, [Ending::Offer, Ending::Handoff]);
}

#[test]
fn a_suite_without_questions_is_refused() {
    let folder = folder(&[("questions.jsonl", "oops\n")]);
    assert!(Suite::from_folder(folder.path()).unwrap_err().to_string().contains("questions.jsonl:1"));
}

#[test]
fn nuggets_come_in_every_written_form() {
    let line = r#"{"id":"1","question":"a","relevant":["d"],"answerable":true,
        "nuggets":["0\\.5", {"zh":"两天","en":["2 days","two days"],"vital":false}, ["x","y"]]}"#;
    let question = parse(line, String::new()).unwrap();
    let counts: Vec<_> = question.nuggets.iter().map(|n| (n.zh.len(), n.en.len(), n.vital)).collect();
    assert_eq!(counts, [(1, 1, true), (1, 2, false), (2, 2, true)]);
    assert!(question.nuggets[1].en[0].is_match("2 DAYS"));
    let single = line.replace('\n', " ");
    let single = single.split("\"nuggets\"").next().unwrap().to_owned() + "\"nuggets\":\"z\"}";
    assert_eq!(parse(&single, String::new()).unwrap().nuggets.len(), 1);
}

#[test]
fn near_and_far_come_from_kind_or_note() {
    let cases = [
        (r#""kind":"near_miss""#, Some(Distance::Near)),
        (r#""kind":"account_access""#, Some(Distance::Near)),
        (r#""note":"left-out intent: atm""#, Some(Distance::Near)),
        (r#""kind":"off_topic""#, Some(Distance::Far)),
        (r#""note":"oos (no intent)""#, Some(Distance::Far)),
        (r#""note":"real user query, out of scope for this bot""#, Some(Distance::Far)),
        (r#""kind":"scam""#, None),
        (r#""kind":"off_topic","relevant":["d"],"answerable":true"#, None),
    ];
    for (fields, expected) in cases {
        let rest = if fields.contains("answerable") { "" } else { ",\"answerable\":false" };
        let question = parse(&format!("{{\"id\":\"1\",\"question\":\"a\",{fields}{rest}}}"), String::new()).unwrap();
        assert_eq!(question.distance(), expected, "{fields}");
    }
}

#[test]
fn wordings_of_one_document_are_one_group() {
    let of =
        |fields: &str| parse(&format!("{{\"id\":\"q1\",\"question\":\"a\",{fields}}}"), String::new()).unwrap().group();
    assert_eq!(of(r#""relevant":["d","e"],"answerable":true"#), "d");
    assert_eq!(of(r#""hard_negative":["h"],"answerable":false"#), "h");
    assert_eq!(of(r#""note":"left-out intent: atm","answerable":false"#), "atm");
    assert_eq!(of(r#""answerable":false"#), "q1");
}
