//! `stack history`: the revisions that were recorded.

use kontena_core::id::{GridName, StackName};

use super::super::failure::Failure;
use super::super::session::{Session, about};
use super::super::table::Table;
use super::super::text::moment;
use crate::api::paths;
use crate::api::types::revision::{Revision, Revisions};

pub(super) async fn show(session: &Session, name: &StackName, quiet: bool) -> Result<(), Failure> {
    let grid = session.grid().await?;
    let revisions = revisions(session, &grid, name).await?;
    let names = revisions.iter().map(|one| one.revision.clone());
    session.print_list(quiet, &revisions, names, &table(&revisions))
}

/// The newest first.
pub(super) async fn revisions(
    session: &Session,
    grid: &GridName,
    name: &StackName,
) -> Result<Vec<Revision>, Failure> {
    let path = format!("{}/revisions", paths::stack(grid, name));
    let answer = session.client.get(&path).await;
    let Revisions { revisions } = answer.map_err(about(format!("stack `{name}`")))?;
    Ok(revisions)
}

/// The newest, and the one before it.
pub(super) async fn newest_two(
    session: &Session,
    grid: &GridName,
    name: &StackName,
) -> Result<[Revision; 2], Failure> {
    let mut revisions = revisions(session, grid, name).await?.into_iter();
    match (revisions.next(), revisions.next()) {
        (Some(newest), Some(previous)) => Ok([newest, previous]),
        (_, _) => Err(
            Failure::failed(format!("stack `{name}` has no revision before this one")).hint(
                format!("`kontena stack history {name}` lists what there is"),
            ),
        ),
    }
}

fn table(revisions: &[Revision]) -> Table {
    let mut table = Table::new(&["REVISION", "VERSION", "RECORDED", "BY", "SERVICES", ""]);
    for revision in revisions {
        let mark = if revision.current { "in force" } else { "" };
        table.row([
            revision.revision.as_str().into(),
            revision.version.as_str().into(),
            moment(revision.at.as_ref()).into(),
            revision.by.as_str().into(),
            revision.services.join(", ").into(),
            mark.into(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::super::super::output::Look;
    use super::*;

    fn revision(revision: &str, by: &str, current: bool) -> Revision {
        Revision {
            revision: revision.to_owned(),
            number: 2,
            hash: "ab12".repeat(16),
            stack: "demo/shop".to_owned(),
            version: "0.1.0".to_owned(),
            at: Some("2026-01-31T12:00:00Z".parse().unwrap()),
            by: by.to_owned(),
            current,
            services: vec!["db".to_owned(), "web".to_owned()],
        }
    }

    #[test]
    fn revisions_are_listed_with_who_recorded_them_where() {
        let revisions = [
            revision("2~ab12", "n1", true),
            revision("2~90fe", "n2", false),
        ];
        expect![[r#"
            REVISION  VERSION  RECORDED              BY  SERVICES
            2~ab12    0.1.0    2026-01-31 12:00:00Z  n1  db, web   in force
            2~90fe    0.1.0    2026-01-31 12:00:00Z  n2  db, web
        "#]]
        .assert_eq(&table(&revisions).render(Look::PLAIN));
    }
}
