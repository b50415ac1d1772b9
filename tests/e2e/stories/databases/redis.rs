//! Redis: a journal of commands, which is on the disk before it answers.

use crate::source::demo::images::{BUSYBOX, REDIS as IMAGE};

use super::moved::no_row_is_lost_by_moves;
use super::story;
use super::written::{Database, Writer};

const REDIS: Database = Database {
    image: IMAGE,
    bring: |_| (),
    command: "redis-server --protected-mode no --dir /data --appendonly yes --appendfsync always",
    stop_signal: "SIGTERM",
    port: 6379,
    aside: None,
    writer: Writer {
        image: BUSYBOX,
        begin: "true",
        write: "(printf \"RPUSH rows $row\\r\\n\"; sleep 0.05) | timeout 2 nc db 6379 | grep -q ^:",
    },
    rows: &["redis-cli", "LRANGE", "rows", "0", "-1"],
};

#[test]
fn no_row_that_redis_has_answered_for_is_lost() {
    story::no_row_is_lost(REDIS);
}

#[test]
fn no_row_of_redis_is_lost_when_it_moves_while_daemons_are_killed() {
    no_row_is_lost_by_moves(REDIS);
}

#[test]
fn no_row_of_redis_is_lost_with_what_a_disk_forgets() {
    story::no_row_is_lost_with_what_a_disk_forgets(REDIS);
}

#[test]
fn rows_that_redis_answers_for_before_the_disk_has_them_are_seen_to_be_lost() {
    story::lost_rows_are_seen(Database {
        command: "redis-server --protected-mode no --dir /data --appendonly yes --appendfsync no",
        ..REDIS
    });
}
