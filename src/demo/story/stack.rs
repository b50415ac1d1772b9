//! The stack that the demo deploys, and how many instances of what it must come to.

use super::super::images::{REDIS, WEB};

/// The port at which every node with an instance of `web` answers.
pub(in super::super) const WEB_PORT: u16 = 8080;

/// One service of the stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// As a command takes it: `STACK/SERVICE`.
    pub(super) service: &'static str,
    pub(super) image: &'static str,
    pub(super) instances: usize,
}

/// What a grid of `nodes` runs.
pub(super) fn wanted(nodes: u8) -> [Wanted; 3] {
    let nodes = usize::from(nodes);
    [
        // One node stays free of it, because two instances cannot share a published port: when a
        // node is lost, there is a place to go to.
        Wanted {
            service: "shop/web",
            image: WEB,
            instances: nodes - 1,
        },
        Wanted {
            service: "shop/api",
            image: WEB,
            instances: nodes + 1,
        },
        Wanted {
            service: "shop/redis",
            image: REDIS,
            instances: 1,
        },
    ]
}

/// The `kontena.yml`.
pub(super) fn file(nodes: u8) -> String {
    let [web, api, redis] = wanted(nodes);
    format!(
        "\
stack: demo/shop
version: 0.1.0
description: a shop window, the shop behind it, and its memory
services:
  web:
    image: {web_image}
    instances: {web_instances}
    ports:
      - {WEB_PORT}:80
    links:
      - api
    deploy:
      strategy: ha
      wait_for_port: 80
  api:
    image: {api_image}
    instances: {api_instances}
    links:
      - redis
    deploy:
      wait_for_port: 80
  redis:
    image: {redis_image}
    stateful: false
    deploy:
      wait_for_port: 6379
",
        web_image = web.image,
        web_instances = web.instances,
        api_image = api.image,
        api_instances = api.instances,
        redis_image = redis.image,
    )
}
