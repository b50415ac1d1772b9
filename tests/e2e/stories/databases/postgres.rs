//! PostgreSQL: a journal of changes, which is on the disk before it answers.

use crate::support::postgres::{POSTGRES as IMAGE, Postgres};

use super::moved::no_row_is_lost_by_moves;
use super::story;
use super::written::{Aside, Database, Writer};

const POSTGRES: Database = Database {
    image: IMAGE,
    bring: |lab| lab.load::<Postgres>(),
    command: "/bin/database",
    // Fast: what is connected does not hold it up.
    stop_signal: "SIGINT",
    port: 5432,
    // One session from its beginning to its end, which neither two hooks are nor the time between them.
    aside: Some(Aside {
        put: "rm -rf /aside/main && pg_basebackup -D /aside/main --checkpoint=fast",
        remove: "rm -rf /aside/main",
    }),
    writer: Writer {
        image: IMAGE,
        begin: "timeout 5 psql -h db -qc 'CREATE TABLE IF NOT EXISTS rows (row text)'",
        write: "timeout 5 psql -h db -qc \"INSERT INTO rows VALUES ('$row')\"",
    },
    rows: &["psql", "-tAc", "SELECT row FROM rows"],
};

#[test]
fn no_row_that_postgresql_has_answered_for_is_lost() {
    story::no_row_is_lost(POSTGRES);
}

#[test]
fn a_backup_of_postgresql_by_hooks_has_every_row_that_it_had_answered_for() {
    story::a_backup_by_hooks_has_every_row(POSTGRES);
}

#[test]
fn no_row_of_postgresql_is_lost_when_it_moves_while_daemons_are_killed() {
    no_row_is_lost_by_moves(POSTGRES);
}

#[test]
fn no_row_of_postgresql_is_lost_with_what_a_disk_forgets() {
    story::no_row_is_lost_with_what_a_disk_forgets(POSTGRES);
}

#[test]
fn rows_that_postgresql_answers_for_before_it_has_written_them_are_seen_to_be_lost() {
    story::lost_rows_are_seen(Database {
        command: "/bin/database -c synchronous_commit=off -c wal_writer_delay=10s",
        ..POSTGRES
    });
}
