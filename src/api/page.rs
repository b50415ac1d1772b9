//! Lists in pages: one mechanism for all of them.
//!
//! Each list has an order, and each of its items a text that sorts in that order. Whoever asks for `limit` items gets
//! the first ones and, where there are more, a header `Link` that leads to those *after* the last: so nothing is
//! given twice and nothing is left out, whatever comes and goes between two pages. Without `limit` a list is
//! whole, as Kontena's clients expect it.

use axum::Json;
use axum::http::header::LINK;
use axum::http::{HeaderValue, Uri};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::answer::Refused;
use super::types::page::{Page, PageSize, Place};

/// A part of a list, and the way to the next.
pub(super) struct Cut<T> {
    items: Vec<T>,
    next: Option<HeaderValue>,
}

/// A list as it is answered.
pub(super) struct Paged<T> {
    list: T,
    next: Option<HeaderValue>,
}

impl Page {
    /// What is asked for of `items`, in the order of their places.
    pub(super) fn cut<T>(
        &self,
        uri: &Uri,
        items: impl IntoIterator<Item = T>,
        place: impl Fn(&T) -> String,
    ) -> Cut<T> {
        let after = self.after.as_ref().map(Place::as_str);
        let placed = items.into_iter().map(|item| (place(&item), item));
        let mut items: Vec<(String, T)> = placed
            .filter(|(place, _)| after.is_none_or(|after| place.as_str() > after))
            .collect();
        items.sort_by(|(one, _), (other, _)| one.cmp(other));
        let limit = self.limit.map_or(usize::MAX, PageSize::get);
        let is_last = items.len() <= limit;
        items.truncate(limit);
        let last = items.last().filter(|_| !is_last);
        let next = last.and_then(|(place, _)| link(uri, place));
        let items = items.into_iter().map(|(_, item)| item).collect();
        Cut { items, next }
    }
}

impl<T> Cut<T> {
    pub(super) fn answer<Item, List>(
        self,
        item: impl Fn(T) -> Item,
        list: impl FnOnce(Vec<Item>) -> List,
    ) -> Result<Paged<List>, Refused> {
        let items = self.items.into_iter().map(item).collect();
        Ok(Paged {
            list: list(items),
            next: self.next,
        })
    }
}

/// The same request once more, but after `place`. The reference is relative, so that it holds behind any proxy.
fn link(uri: &Uri, place: &str) -> Option<HeaderValue> {
    let query = uri.query().unwrap_or_default().split('&');
    let others = query.filter(|pair| !pair.is_empty() && !pair.starts_with("after="));
    let pairs: Vec<&str> = others.collect();
    let link = format!("<?{}&after={place}>; rel=\"next\"", pairs.join("&"));
    HeaderValue::from_str(&link).ok()
}

impl<T: Serialize> IntoResponse for Paged<T> {
    fn into_response(self) -> Response {
        let mut response = Json(self.list).into_response();
        if let Some(next) = self.next {
            response.headers_mut().insert(LINK, next);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_of_a_list_are_the_list() {
        let items = ["a", "b", "c", "d", "e"];
        for size in 1..7 {
            let mut page = Page {
                limit: PageSize::try_from(size).ok(),
                after: None,
            };
            let mut seen = Vec::new();
            loop {
                let cut = page.cut(&Uri::from_static("/?all=1"), items, ToString::to_string);
                seen.extend(cut.items);
                let Some(next) = cut.next else { break };
                let place = next.to_str().unwrap().split("after=").nth(1).unwrap();
                let place = place.trim_end_matches(">; rel=\"next\"").to_owned();
                page.after = Place::try_from(place).ok();
            }
            assert_eq!(seen, items, "{size}");
        }
    }

    #[test]
    fn the_way_to_the_next_page_keeps_what_else_was_asked_for() {
        let uri = Uri::from_static("/v1/x?stack=shop&after=a&limit=2");
        let link = link(&uri, "b").unwrap();
        assert_eq!(link, "<?stack=shop&limit=2&after=b>; rel=\"next\"");
    }
}
