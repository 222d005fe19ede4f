//! The HTML parser, watched: a page made to keep it busy is refused while it is small.

use std::cell::{Cell, RefCell};

use html5ever::TokenizerResult;
use html5ever::buffer_queue::BufferQueue;
use html5ever::tendril::StrTendril;
use html5ever::tokenizer::{Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts};
use html5ever::tree_builder::{Tracer, TreeBuilder, TreeBuilderOpts, TreeSink};
use scraper::{Html, HtmlTreeSink, Node};

/// Browsers flatten what is nested deeper than this; the parser's work grows with the square of the depth.
const DEEPEST_PARSED: usize = 512;

/// The shortest paragraph, `<p>a`, is two nodes in four bytes; a page's frame and its tables' bodies need not be written.
const SPARE_NODES: usize = 1000;

/// The parser compares every attribute of a tag with those before it.
const MOST_ATTRIBUTES: usize = 1000;

/// A tag that goes on for so long is looked at before its end.
const LONG_TAG_BYTES: usize = 16 << 10;

/// With every tag the parser may go through all that is open. This many looks take a few seconds at worst; a page of 2 MB that
/// is thirty elements deep at all of its hundred thousand tags, each with some attributes, needs a fifth of them.
const MOST_LOOKS: usize = 50_000_000;

/// Parses a page that is no bomb. What a page costs cannot be told from its text without parsing it, so the parser is watched
/// after every token: what is too deep, makes far more than it writes (unclosed emphasis is opened anew in every paragraph), or
/// keeps the parser searching is refused at that very token. All of it is counted and none of it timed, so that a page
/// refused once is refused always.
pub(super) fn parse(text: &str) -> Result<Html, String> {
    let builder = TreeBuilder::new(HtmlTreeSink::new(Html::new_document()), TreeBuilderOpts::default());
    let watch = Watch {
        builder,
        read: Cell::new(0),
        tokens: Cell::default(),
        made: Cell::default(),
        nodes: Cell::new(1),
        looks: Cell::default(),
        refused: RefCell::default(),
    };
    let tokenizer = Tokenizer::new(watch, TokenizerOpts::default());
    let watch = &tokenizer.sink;
    let input = BufferQueue::default();
    let mut silent = Silence::default();
    let mut at = 0;
    while at < text.len() {
        let end = at + piece(&text[at..]);
        let tokens = watch.tokens.get();
        watch.read.set(end);
        input.push_back(StrTendril::from_slice(&text[at..end]));
        // A script, or a charset that the page claims, interrupts the parser; neither is of interest here.
        while !matches!(tokenizer.feed(&input), TokenizerResult::Done) {}
        if watch.tokens.get() != tokens {
            silent = Silence::default();
        } else if silent.has_too_long_a_tag(text, at, end) {
            watch.refuse(too_many_attributes());
        }
        if let Some(reason) = watch.refused.take() {
            return Err(reason);
        }
        at = end;
    }
    tokenizer.end();
    match tokenizer.sink.refused.into_inner() {
        Some(reason) => Err(reason),
        None => Ok(tokenizer.sink.builder.sink.finish()),
    }
}

/// How much the parser is fed next. Each `<` goes alone, so that it is known where the tag began that it has not yet told of.
fn piece(text: &str) -> usize {
    match text.find('<') {
        Some(0) => 1,
        found => text.ceil_char_boundary(found.unwrap_or(text.len()).min(LONG_TAG_BYTES)),
    }
}

fn too_many_attributes() -> String {
    format!("a tag has more than {MOST_ATTRIBUTES} attributes")
}

/// A stretch of the page in which the parser tells of nothing: it is within a tag or a comment.
#[derive(Default)]
struct Silence {
    began: Option<usize>,
    looked_at: usize,
}

impl Silence {
    /// Looks at a tag each time it has grown by so much, for its end may come too late.
    fn has_too_long_a_tag(&mut self, text: &str, at: usize, end: usize) -> bool {
        let began = *self.began.get_or_insert(at);
        if end - began.max(self.looked_at) < LONG_TAG_BYTES {
            return false;
        }
        self.looked_at = end;
        let mut tag = &text[began..end];
        // What the parser passes over in silence.
        while let Some(rest) = tag.strip_prefix("</>").or_else(|| tag.strip_prefix("<![CDATA[]]>")) {
            tag = rest;
        }
        let tag = tag.strip_prefix('<').unwrap_or(tag);
        let tag = tag.strip_prefix('/').unwrap_or(tag);
        tag.starts_with(|c: char| c.is_ascii_alphabetic()) && attributes(tag) > MOST_ATTRIBUTES
    }
}

/// How many attributes an unfinished tag has, read as the parser reads them.
fn attributes(tag: &str) -> usize {
    let ends_name = |c: char| c.is_ascii_whitespace() || c == '/';
    let mut count = 0;
    let mut rest = tag.trim_start_matches(|c: char| !ends_name(c)).trim_start_matches(ends_name);
    while let Some(first) = rest.chars().next() {
        count += 1;
        // A name may begin with an equals sign.
        rest = rest[first.len_utf8()..].trim_start_matches(|c: char| !ends_name(c) && c != '=');
        if let Some(value) = rest.trim_ascii_start().strip_prefix('=') {
            let value = value.trim_ascii_start();
            rest = match value.chars().next() {
                Some(quote @ ('"' | '\'')) => value[1..].split_once(quote).map_or("", |(_, after)| after),
                _ => value.trim_start_matches(|c: char| !c.is_ascii_whitespace()),
            };
        }
        rest = rest.trim_start_matches(ends_name);
    }
    count
}

type Handle = <HtmlTreeSink as TreeSink>::Handle;

/// Stands between the parser's two halves and counts what the tokens of the one make the other do.
struct Watch {
    builder: TreeBuilder<Handle, HtmlTreeSink>,
    /// Bytes that the parser was fed.
    read: Cell<usize>,
    tokens: Cell<usize>,
    /// Nodes and their attributes, whether they still stand in the tree or not.
    made: Cell<usize>,
    nodes: Cell<usize>,
    looks: Cell<usize>,
    refused: RefCell<Option<String>>,
}

impl Watch {
    fn refuse(&self, reason: String) {
        self.refused.borrow_mut().get_or_insert(reason);
    }

    fn count(&self, is_tag: bool) {
        let page = self.builder.sink.0.borrow();
        let nodes = page.tree.values().len();
        let new = nodes - self.nodes.replace(nodes);
        if new == 0 && !is_tag {
            return;
        }
        let made: usize = page.tree.values().rev().take(new).map(weight).sum();
        self.made.set(self.made.get() + made);
        let open = Open { page: &page, looks: Cell::new(0) };
        self.builder.trace_handles(&open);
        self.looks.set(self.looks.get() + open.looks.get());

        let read = self.read.get();
        // Of the nodes that one token makes the last stands deepest.
        if new > 0 && page.tree.nodes().next_back().is_some_and(|last| last.ancestors().count() > DEEPEST_PARSED) {
            self.refuse(format!("its elements are nested more than {DEEPEST_PARSED} deep"));
        }
        if self.made.get() > read / 2 + SPARE_NODES {
            let made = self.made.get();
            self.refuse(format!("its first {read} bytes open elements {made} times: close what you open"));
        }
        if self.looks.get() > MOST_LOOKS {
            self.refuse(format!("too much is left open in its first {read} bytes: close what you open"));
        }
    }
}

/// What a node costs: itself and its attributes.
fn weight(node: &Node) -> usize {
    1 + node.as_element().map_or(0, |element| element.attrs.len())
}

impl TokenSink for Watch {
    type Handle = Handle;

    fn process_token(&self, token: Token, line: u64) -> TokenSinkResult<Handle> {
        // The parser goes on to the end of what it was fed; a refused page must not grow any more.
        if self.refused.borrow().is_some() {
            return TokenSinkResult::Continue;
        }
        if matches!(token, Token::ParseError(_)) {
            return self.builder.process_token(token, line);
        }
        self.tokens.set(self.tokens.get() + 1);
        let is_tag = match &token {
            Token::TagToken(tag) if tag.attrs.len() > MOST_ATTRIBUTES => {
                self.refuse(too_many_attributes());
                return TokenSinkResult::Continue;
            }
            Token::TagToken(_) => true,
            _ => false,
        };
        let result = self.builder.process_token(token, line);
        self.count(is_tag);
        result
    }

    fn end(&self) {
        self.builder.end();
    }

    fn adjusted_current_node_present_but_not_in_html_namespace(&self) -> bool {
        self.builder.adjusted_current_node_present_but_not_in_html_namespace()
    }
}

/// Weighs what the parser keeps open, and the emphasis it will open anew.
struct Open<'a> {
    page: &'a Html,
    looks: Cell<usize>,
}

impl Tracer for Open<'_> {
    type Handle = Handle;

    fn trace_handle(&self, node: &Handle) {
        let weight = self.page.tree.get(*node).map_or(0, |node| weight(node.value()));
        self.looks.set(self.looks.get() + weight);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_counted_as_the_parser_reads_them() {
        for (tag, count) in
            [("p a b=c d = 'e f' g=\"h i\"/j", 5), ("p =x \"y z=q\"r s/t u", 6), ("p=\" a b", 2), ("p a='b c", 1)]
        {
            assert_eq!(attributes(tag), count, "{tag}");
            let page = Html::parse_fragment(&format!("<{tag}{}>", if tag.ends_with("'b c") { "'" } else { "" }));
            let parsed = page.tree.values().filter_map(Node::as_element).map(|element| element.attrs.len()).max();
            assert_eq!(parsed, Some(count), "{tag}");
        }
    }
}
