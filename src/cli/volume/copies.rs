//! `volume ls --copies`: what is of volumes on the nodes, and of instances' own data.

use kontena_core::id::{GridName, NodeName};

use super::below;
use crate::api::paths;
use crate::api::types::volume::{VolumeCopies, VolumeCopy};
use crate::cli::confirm::confirm;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::table::Table;
use crate::cli::text::or_dash;

pub(super) async fn list(session: &Session, grid: &GridName, quiet: bool) -> Result<(), Failure> {
    let answer: VolumeCopies = session.client.get(&paths::volume_copies(grid)).await?;
    let names = answer.copies.iter().map(|copy| copy.name.clone());
    session.print_list(quiet, &answer.copies, names, &table(&answer.copies))
}

pub(super) async fn discard(
    session: &Session,
    grid: &GridName,
    copy: &str,
    node: &NodeName,
    force: bool,
) -> Result<(), Failure> {
    let what = format!("remove, with all that is in it, from node `{node}` the copy");
    confirm(&session.output, &what, copy, force)?;
    let path = paths::volume_copy(grid, node.as_str(), copy);
    let removed: VolumeCopy = session.client.delete(&path).await?;
    session
        .output
        .talk(&format!("removed `{copy}` from node `{node}`"));
    match session.output.is_json() {
        true => session.output.json(&removed),
        false => Ok(()),
    }
}

fn table(copies: &[VolumeCopy]) -> Table {
    let mut table = Table::new(&["COPY", "NODE", "VOLUME", "INSTANCE"]);
    for copy in copies {
        let instance = copy.instance.as_deref().map(below);
        table.row(
            [
                copy.name.clone(),
                copy.node.clone(),
                or_dash(copy.volume.as_ref()),
                or_dash(instance.as_ref()),
            ]
            .into_iter()
            .map(Into::into),
        );
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;
    use crate::cli::output::Look;

    #[test]
    fn copies_are_listed_with_their_nodes_and_whose_they_are() {
        let copies = [
            VolumeCopy {
                name: "shop.db.data-1".to_owned(),
                node: "alpha".to_owned(),
                volume: Some("data".to_owned()),
                instance: None,
            },
            VolumeCopy {
                name: "shop.redis-1.3f0c.9b1d".to_owned(),
                node: "beta".to_owned(),
                volume: None,
                instance: Some("demo/shop/redis-1".to_owned()),
            },
        ];
        expect![[r#"
            COPY                    NODE   VOLUME  INSTANCE
            shop.db.data-1          alpha  data    -
            shop.redis-1.3f0c.9b1d  beta   -       shop/redis-1
        "#]]
        .assert_eq(&table(&copies).render(Look::PLAIN));
    }
}
