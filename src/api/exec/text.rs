//! Bytes that come in pieces as text: a character that is cut in two waits for its rest.

/// Of one stream.
#[derive(Debug, Default)]
pub(super) struct Text {
    /// The beginning of a character: three bytes at most.
    rest: Vec<u8>,
}

impl Text {
    /// What can be said now. What is no UTF-8 becomes U+FFFD.
    pub(super) fn add(&mut self, bytes: &[u8]) -> String {
        self.rest.extend_from_slice(bytes);
        let (mut text, mut done) = (String::new(), 0);
        for chunk in self.rest.utf8_chunks() {
            let invalid = chunk.invalid();
            text.push_str(chunk.valid());
            done += chunk.valid().len();
            let is_cut = done + invalid.len() == self.rest.len() && is_a_beginning(invalid);
            if !invalid.is_empty() && !is_cut {
                text.push(char::REPLACEMENT_CHARACTER);
                done += invalid.len();
            }
        }
        self.rest.drain(..done);
        text
    }

    /// What is left at the end.
    pub(super) fn end(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.rest)).into_owned()
    }
}

/// Whether more bytes could make a character of it.
fn is_a_beginning(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_err_and(|error| error.error_len().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn said(bytes: &[u8], size: usize) -> String {
        let mut text = Text::default();
        let said: String = bytes.chunks(size).map(|chunk| text.add(chunk)).collect();
        assert!(text.rest.len() < 4);
        said + &text.end()
    }

    proptest! {
        #[test]
        fn text_in_pieces_is_the_text(text in "\\PC{0,40}", size in 1_usize..9) {
            prop_assert_eq!(said(text.as_bytes(), size), text);
        }

        #[test]
        fn whatever_comes_in_pieces_reads_as_it_does_at_once(
            bytes in prop::collection::vec(any::<u8>(), 0..40),
            size in 1_usize..9,
        ) {
            prop_assert_eq!(said(&bytes, size), String::from_utf8_lossy(&bytes));
        }
    }
}
