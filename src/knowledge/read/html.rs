//! HTML to Markdown: title, headings, lists, paragraphs, tables; what a reader of the page does not see is left out.
//! Comments are told to the maintainer: they may hold what was meant to stay inside, or orders to a machine.

mod watch;

use scraper::{ElementRef, Html, Node, Selector};

use super::{Draft, Found, one_line, shortened};

/// Deeper nesting is read as plain text: pages are not that deep, and a made-up one must not exhaust the stack.
const DEEPEST: usize = 128;

/// Elements whose content is no part of the text.
const LEFT_OUT: [&str; 13] = [
    "script", "style", "nav", "noscript", "template", "iframe", "svg", "head", "button", "select", "textarea",
    "object", "dialog",
];

pub(super) fn read(text: &str) -> Found {
    let mut found = Found::default();
    if text.len() > super::BODY_LIMIT_BYTES {
        let (size, limit) = (text.len(), super::BODY_LIMIT_BYTES);
        found
            .faults
            .push((None, format!("the page has {size} bytes, the limit for one document is {limit}: split it")));
        return found;
    }
    let page = match watch::parse(text) {
        Ok(page) => page,
        Err(reason) => {
            found.faults.push((None, reason));
            return found;
        }
    };
    let root = first(&page, "main").or_else(|| first(&page, "body")).unwrap_or_else(|| page.root_element());
    let mut writer = Writer::default();
    writer.children(root, 0);
    let body = writer.finish();

    let heading = first(&page, "h1").map(|h1| one_line(&inline(h1, 0)));
    let title = first(&page, "title").map(|title| one_line(&title.text().collect::<String>()));
    let lang =
        page.root_element().attr("lang").map(str::to_owned).filter(|tag| tag.parse::<crate::words::Lang>().is_ok());
    for (line, comment) in comments(text) {
        found.notes.push((Some(line), format!("an HTML comment was left out: {}", shortened(&one_line(comment)))));
    }
    if body.trim().is_empty() {
        found.faults.push((None, "no text that a reader would see".to_owned()));
        return found;
    }
    let title = [heading, title].into_iter().flatten().find(|text| !text.is_empty());
    let title = title.or_else(|| body.lines().next().map(|line| line.chars().take(100).collect()));
    found.drafts.push(Draft { line: 1, lang, title, body, ..Draft::default() });
    found
}

fn first<'a>(page: &'a Html, selector: &str) -> Option<ElementRef<'a>> {
    let selector = Selector::parse(selector).ok()?;
    page.select(&selector).next()
}

/// The comments with their lines, found in the text itself: the parser keeps no places.
fn comments(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let mut at = 0;
    let mut line = 1;
    while let Some(start) = text[at..].find("<!--").map(|start| at + start) {
        line += text[at..start].matches('\n').count();
        let inside = start + 4;
        let end = text[inside..].find("-->").map_or(text.len(), |end| inside + end);
        let comment = text[inside..end].trim();
        if !comment.is_empty() {
            found.push((line, comment));
        }
        line += text[start..end].matches('\n').count();
        at = end;
    }
    found
}

fn is_hidden(element: ElementRef<'_>) -> bool {
    let style: String = element.attr("style").unwrap_or_default().to_ascii_lowercase().split_whitespace().collect();
    LEFT_OUT.contains(&element.value().name())
        || element.attr("hidden").is_some()
        || element.attr("aria-hidden") == Some("true")
        || style.contains("display:none")
        || style.contains("visibility:hidden")
}

/// Writes blocks as Markdown, a blank line between them.
#[derive(Default)]
struct Writer {
    blocks: Vec<String>,
    /// Text that stands next to blocks without an element of its own.
    loose: String,
}

impl Writer {
    fn children(&mut self, element: ElementRef<'_>, depth: usize) {
        if depth > DEEPEST {
            self.loose.push_str(&flat_text(element));
            return;
        }
        for child in element.children() {
            match (child.value(), ElementRef::wrap(child)) {
                (Node::Text(text), _) => self.loose.push_str(&spaced(text)),
                (_, Some(element)) if !is_hidden(element) => self.element(element, depth),
                _ => {}
            }
        }
    }

    fn element(&mut self, element: ElementRef<'_>, depth: usize) {
        match element.value().name() {
            name @ ("h1" | "h2" | "h3" | "h4" | "h5" | "h6") => {
                // Sections of a document start at level 2; its title is the first level.
                let level = name[1..].parse::<usize>().unwrap_or(2).max(2);
                let heading = one_line(&inline(element, depth));
                if !heading.is_empty() {
                    self.block(format!("{} {heading}", "#".repeat(level)));
                }
            }
            "p" | "dt" | "dd" | "figcaption" | "caption" | "summary" => {
                let text = inline(element, depth);
                self.block(text);
            }
            "ul" | "ol" => {
                let mut lines = Vec::new();
                list(element, 0, depth, &mut lines);
                self.block(lines.join("\n"));
            }
            "table" => self.block(table(element, depth)),
            "pre" => self.block(format!("```\n{}\n```", flat_text(element).trim_matches('\n'))),
            "blockquote" => {
                let mut inside = Writer::default();
                inside.children(element, depth + 1);
                let quoted: Vec<_> =
                    inside.finish().lines().map(|line| format!("> {line}").trim_end().to_owned()).collect();
                self.block(quoted.join("\n"));
            }
            "hr" => self.end_loose(),
            "br" => self.loose.push('\n'),
            name if is_inline(name) => {
                let text = inline_element(element, depth);
                self.loose.push_str(&text);
            }
            _ => {
                self.end_loose();
                self.children(element, depth + 1);
                self.end_loose();
            }
        }
    }

    fn block(&mut self, text: String) {
        self.end_loose();
        let text = tidy_lines(&text);
        if !text.is_empty() {
            self.blocks.push(text);
        }
    }

    fn end_loose(&mut self) {
        let loose = tidy_lines(&std::mem::take(&mut self.loose));
        if !loose.is_empty() {
            self.blocks.push(loose);
        }
    }

    fn finish(mut self) -> String {
        self.end_loose();
        self.blocks.join("\n\n")
    }
}

fn is_inline(name: &str) -> bool {
    const INLINE: [&str; 26] = [
        "a", "abbr", "b", "bdi", "cite", "code", "em", "font", "i", "img", "ins", "kbd", "label", "mark", "q", "s",
        "samp", "small", "span", "strong", "sub", "sup", "time", "u", "var", "wbr",
    ];
    INLINE.contains(&name)
}

/// The text of an element's children on one line, with emphasis, code and links as Markdown.
fn inline(element: ElementRef<'_>, depth: usize) -> String {
    if depth > DEEPEST {
        return flat_text(element);
    }
    let mut text = String::new();
    for child in element.children() {
        match (child.value(), ElementRef::wrap(child)) {
            (Node::Text(piece), _) => text.push_str(&spaced(piece)),
            (_, Some(element)) if !is_hidden(element) => text.push_str(&inline_element(element, depth)),
            _ => {}
        }
    }
    text
}

fn inline_element(element: ElementRef<'_>, depth: usize) -> String {
    let inside = || inline(element, depth + 1);
    let marked = |mark: &str| {
        let text = inside();
        let trimmed = text.trim();
        if trimmed.is_empty() { text } else { text.replacen(trimmed, &format!("{mark}{trimmed}{mark}"), 1) }
    };
    match element.value().name() {
        "br" => "\n".to_owned(),
        "b" | "strong" => marked("**"),
        "code" | "kbd" | "samp" => marked("`"),
        "img" => element.attr("alt").map(one_line).unwrap_or_default(),
        "a" => {
            let text = inside();
            match element.attr("href").filter(|href| href.starts_with("https://") || href.starts_with("http://")) {
                Some(href) if !text.trim().is_empty() && text.trim() != href => format!("[{}]({href})", text.trim()),
                _ => text,
            }
        }
        name if is_inline(name) => inside(),
        // A block inside a paragraph or cell: its text, set apart.
        _ => format!(" {} ", inside()),
    }
}

fn list(element: ElementRef<'_>, indent: usize, depth: usize, lines: &mut Vec<String>) {
    let numbered = element.value().name() == "ol";
    let first: usize = element.attr("start").and_then(|start| start.parse().ok()).unwrap_or(1);
    let items = element.children().filter_map(ElementRef::wrap).filter(|item| !is_hidden(*item));
    for (number, item) in (first..).zip(items) {
        let mark = if numbered { format!("{number}. ") } else { "- ".to_owned() };
        let mut text = String::new();
        let mut inner = Vec::new();
        if depth > DEEPEST {
            text = flat_text(item);
        } else {
            for child in item.children() {
                match (child.value(), ElementRef::wrap(child)) {
                    (Node::Text(piece), _) => text.push_str(&spaced(piece)),
                    (_, Some(child)) if is_hidden(child) => {}
                    (_, Some(child)) if matches!(child.value().name(), "ul" | "ol") => {
                        list(child, indent + mark.len(), depth + 1, &mut inner);
                    }
                    (_, Some(child)) => text.push_str(&inline_element(child, depth + 1)),
                    _ => {}
                }
            }
        }
        lines.push(format!("{}{mark}{}", " ".repeat(indent), one_line(&text)));
        lines.append(&mut inner);
    }
}

/// A row a line. Under a row of headings each cell is named, so that the line can be understood alone.
fn table(element: ElementRef<'_>, depth: usize) -> String {
    let Ok(rows) = Selector::parse("tr") else { return String::new() };
    let mut headings: Vec<String> = Vec::new();
    let mut lines = Vec::new();
    // Rows of a table in a cell are that cell's text.
    let is_own = |row: &ElementRef<'_>| {
        let mut above = row.ancestors().filter_map(ElementRef::wrap);
        above.find(|above| above.value().name() == "table") == Some(element)
    };
    for row in element.select(&rows).filter(is_own) {
        let cells: Vec<_> = row
            .children()
            .filter_map(ElementRef::wrap)
            .filter(|cell| matches!(cell.value().name(), "td" | "th") && !is_hidden(*cell))
            .map(|cell| (cell.value().name() == "th", one_line(&inline(cell, depth + 1))))
            .collect();
        if cells.len() > 1 && cells.iter().all(|(is_heading, _)| *is_heading) && lines.is_empty() {
            headings = cells.into_iter().map(|(_, text)| text).collect();
            continue;
        }
        let texts: Vec<_> = cells.iter().map(|(_, text)| text.as_str()).collect();
        let line = if headings.len() == texts.len() {
            let named = headings.iter().zip(&texts).filter(|(_, text)| !text.is_empty());
            let named = named.map(
                |(heading, text)| if heading.is_empty() { (*text).to_owned() } else { format!("{heading}: {text}") },
            );
            named.collect::<Vec<_>>().join("; ")
        } else {
            texts.join(" | ")
        };
        if !line.trim().is_empty() {
            lines.push(format!("- {line}"));
        }
    }
    lines.join("\n")
}

/// All text below an element, without recursion.
fn flat_text(element: ElementRef<'_>) -> String {
    element.text().collect()
}

/// White space as a browser shows it: any run of it is one space.
fn spaced(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_whitespace() || c == '\u{3000}' {
            out.push(c);
        } else if !out.ends_with(' ') {
            out.push(' ');
        }
    }
    out
}

fn tidy_lines(text: &str) -> String {
    if text.starts_with("```") {
        return text.to_owned();
    }
    let is_list = |line: &str| line.trim_start().starts_with(|c: char| c == '-' || c.is_ascii_digit());
    let lines = text.lines().map(|line| {
        let indent = if is_list(line) { line.len() - line.trim_start().len() } else { 0 };
        format!(
            "{}{}",
            " ".repeat(indent),
            line.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
        )
    });
    lines.filter(|line| !line.trim().is_empty()).collect::<Vec<_>>().join("\n").trim().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_page_becomes_what_its_reader_sees() {
        let found = read(
            "<html lang=zh-CN><head><title>站点 - 提现</title><style>p{}</style></head><body>
<nav>首页 关于</nav><!-- internal: raise
the limit --><h1>提现到账</h1><script>alert(1)</script>
<p>普通提现 <b>2 小时</b>到账，\n见 <a href=\"https://tern.example/fees\">费率</a>。</p>
<p hidden>藏</p><div style=\"display: none\">藏</div>
<h2>步骤</h2><ol><li>打开 <code>App</code></li><li>点钱包<ul><li>再点提现</li></ul></li></ol>
<table><tr><th>币种</th><th>费用</th></tr><tr><td>USDT</td><td>1</td></tr><tr><td>BTC</td><td>0.0001</td></tr></table>
松散文字<br>第二行</body></html>",
        );
        let draft = &found.drafts[0];
        assert_eq!(draft.title.as_deref(), Some("提现到账"));
        assert_eq!(draft.lang.as_deref(), Some("zh-CN"));
        assert_eq!(
            draft.body,
            "## 提现到账\n\n普通提现 **2 小时**到账， 见 [费率](https://tern.example/fees)。\n\n## 步骤\n\n1. 打开 `App`\n2. 点钱包\n   - 再点提现\n\n- 币种: USDT; 费用: 1\n- 币种: BTC; 费用: 0.0001\n\n松散文字\n第二行"
        );
        assert_eq!(found.notes, [(Some(2), "an HTML comment was left out: internal: raise the limit".to_owned())]);
    }

    #[test]
    fn only_the_main_part_is_read_where_there_is_one() {
        let found = read("<body><div>menu</div><main><p>Text.</p></main><footer>f</footer></body>");
        assert_eq!(found.drafts[0].body, "Text.");
        assert_eq!(found.drafts[0].title.as_deref(), Some("Text."));
        assert!(read("<body><script>x</script></body>").drafts.is_empty());
    }

    #[test]
    fn deep_nesting_is_read_flat_and_very_deep_nesting_refused() {
        let deep = |levels: usize| format!("{}deep text{}", "<div>".repeat(levels), "</div>".repeat(levels));
        assert!(read(&deep(400)).drafts[0].body.contains("deep text"));
        let refused = read(&deep(100_000));
        assert!(refused.drafts.is_empty() && refused.faults[0].1.contains("512 deep"), "{refused:?}");
    }

    /// The depth was estimated by counting tags: a stray closing tag, or one in a comment or attribute, made it seem flat.
    #[test]
    fn no_page_is_a_bomb() {
        let numbered = |count: usize, tag: &dyn Fn(usize) -> String| (0..count).map(tag).collect::<String>();
        for (bomb, refused) in [
            ("<div></x>".repeat(100_000), "512 deep"),
            ("<div><!--</div>-->".repeat(60_000), "512 deep"),
            ("<div title='</div>'>".repeat(60_000), "512 deep"),
            ("<div><table><td></div></table>".repeat(50_000), "512 deep"),
            (numbered(100_000, &|at| format!("<b x={at}>")), "512 deep"),
            (
                format!("<p>{}{}", numbered(300, &|at| format!("<b x={at}>")), "<p>a".repeat(200_000)),
                "close what you open",
            ),
            (format!("<p {}>a", numbered(200_000, &|at| format!("a{at} "))), "attributes"),
            (format!("</><<p {}>a", numbered(200_000, &|at| format!("a{at}< "))), "attributes"),
            (numbered(140_000, &|at| format!("<body a{at}>")), "close what you open"),
            (
                format!("<p>{}</p>{}", numbered(400, &|at| format!("<b x={at}>")), "<b></b>".repeat(200_000)),
                "close what you open",
            ),
            (format!("<p>{}<p>{}", numbered(2700, &|_| "<b aa>".to_owned()), "<p>a".repeat(4000)), "512 deep"),
        ] {
            // Ordinary text in front, as long as it may be, must not lower the guard.
            for before in [String::new(), "x ".repeat(5000)] {
                let started = Instant::now();
                let found = read(&format!("{before}{bomb}"));
                let begins = format!("{} bytes and {}", before.len(), &bomb[..40]);
                println!("{begins}… {:.2} s: {:?}", started.elapsed().as_secs_f64(), found.faults);
                assert!(found.drafts.is_empty(), "{begins} went in");
                assert!(found.faults[0].1.contains(refused), "{begins}: {:?}", found.faults);
                assert!(started.elapsed() < Duration::from_secs(30), "{begins}: {:?}", started.elapsed());
            }
        }
    }

    #[test]
    fn long_flat_pages_and_huge_attributes_are_no_bombs() {
        let list = "<ul><li>an item<p>and <b>more</b> of it</ul>".repeat(4000);
        assert!(read(&list).drafts[0].body.contains("**more**"));
        let picture = format!("<p title=\"{}\">text <img src='data:,{}'>", "x".repeat(500_000), "y".repeat(1_000_000));
        assert_eq!(read(&picture).drafts[0].body, "text");
    }

    #[test]
    fn a_table_in_a_cell_is_said_once() {
        let nested = "<table><tr><td>a <table><tr><td>inner</table></table>";
        assert_eq!(read(nested).drafts[0].body.matches("inner").count(), 1);
    }
}
