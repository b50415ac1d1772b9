//! What `show` prints: Kontena's `key: value` lines, indented as YAML. Pure.

use std::fmt::{Display, Write};

use super::text::printable;

const STEP: usize = 2;

#[derive(Default)]
pub(crate) struct Fields {
    text: String,
    indent: usize,
}

impl Fields {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// `key: value`; control characters of the value are escaped.
    pub(crate) fn field(&mut self, key: &str, value: impl Display) -> &mut Self {
        let value = printable(&value.to_string());
        let separator = if value.is_empty() { "" } else { " " };
        self.line(&format!("{key}:{separator}{value}"))
    }

    /// `key: value`, or nothing where there is none.
    pub(crate) fn known(&mut self, key: &str, value: Option<impl Display>) -> &mut Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// `key:` with one `- item` a line; `key: -` where there is none.
    pub(crate) fn list<T: Display>(
        &mut self,
        key: &str,
        items: impl IntoIterator<Item = T>,
    ) -> &mut Self {
        let mut items = items.into_iter().peekable();
        if items.peek().is_none() {
            return self.field(key, "-");
        }
        self.section(key, |fields| {
            for item in items {
                fields.line(&format!("- {}", printable(&item.to_string())));
            }
        })
    }

    /// `key:` with what `inner` writes below it.
    pub(crate) fn section(&mut self, key: &str, inner: impl FnOnce(&mut Self)) -> &mut Self {
        self.line(&format!("{}:", printable(key)));
        self.indent += STEP;
        inner(self);
        self.indent -= STEP;
        self
    }

    pub(crate) fn finish(self) -> String {
        self.text
    }

    fn line(&mut self, line: &str) -> &mut Self {
        let indent = self.indent;
        writeln!(self.text, "{:indent$}{line}", "").expect("writing to a text does not fail");
        self
    }
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    #[test]
    fn sections_and_lists_are_indented_below_their_key() {
        let mut fields = Fields::new();
        fields.section("web", |web| {
            web.field("image", "nginx\x07")
                .known("dns", None::<&str>)
                .list("env", ["A=1", "B=2"])
                .list("links", [] as [&str; 0]);
        });
        expect![[r"
            web:
              image: nginx\u{7}
              env:
                - A=1
                - B=2
              links: -
        "]]
        .assert_eq(&fields.finish());
    }
}
