//! The firewall rules that containers need to reach each other across hosts.
//!
//! The engine hides the sources of what leaves its bridges, and lets nothing in that was not published. Our rules
//! make exceptions for the overlay, must stand before the engine's, and are lost when somebody flushes a
//! chain: so they are looked at again and again. `iptables` is what the engine itself uses.

use std::io;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;

use super::names::Names;

/// For one call; it waits for others' locks.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the engine keeps room for rules of people; without it (an engine that does not touch the firewall) the
/// rules go where they are read by all.
const DOCKER_USER: &str = "DOCKER-USER";

/// The rules of one overlay.
#[derive(Clone, Debug)]
pub(crate) struct Firewall {
    names: Names,
}

/// One rule, as its arguments after the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    table: &'static str,
    chain: &'static str,
    arguments: Vec<String>,
}

impl Firewall {
    pub(crate) fn new(names: Names) -> Self {
        Self { names }
    }

    /// Puts back whatever is missing or stands too late, and removes what was ours and is not wanted any
    /// more. Returns what stands then, as one would type it.
    ///
    /// # Errors
    /// `iptables` is missing or refuses.
    pub(crate) async fn ensure(&self, subnet: &str) -> anyhow::Result<Vec<String>> {
        let forward = self.forward_chain().await?;
        let wanted = rules(&self.names, subnet, forward);
        for (table, chain) in chains(&wanted) {
            let of_chain = |rule: &&Rule| rule.table == table && rule.chain == chain;
            let of_chain: Vec<&Rule> = wanted.iter().filter(of_chain).collect();
            let there = self.list(table, chain).await?;
            if stand(&there, &of_chain, &self.names.comment) {
                continue;
            }
            tracing::info!(
                table,
                chain,
                "Firewall rules of the network are put in place"
            );
            self.replace(table, chain, &there, &of_chain).await?;
        }
        Ok(wanted.iter().map(shown).collect())
    }

    /// Puts these rules of ours in front, and takes all others of ours away, in one step: a flow that begins in
    /// between would be masqueraded for its whole life.
    async fn replace(
        &self,
        table: &str,
        chain: &str,
        there: &[String],
        wanted: &[&Rule],
    ) -> anyhow::Result<()> {
        let ours = there
            .iter()
            .filter(|line| is_ours(line, &self.names.comment));
        let removed = ours.map(|line| words(line).skip(2).collect::<Vec<_>>().join(" "));
        let removed = removed.map(|rule| format!("-D {chain} {rule}\n"));
        let added = wanted
            .iter()
            .rev()
            .map(|rule| format!("-I {chain} 1 {}\n", rule.arguments.join(" ")));
        let changes: String = removed.chain(added).collect();
        self.restore(&format!("*{table}\n{changes}COMMIT\n")).await
    }

    /// Removes every rule of ours.
    ///
    /// # Errors
    /// `iptables` refuses: somebody may hold its lock for long, and rules may be left.
    pub(crate) async fn remove(&self) -> anyhow::Result<()> {
        for (table, chain) in [
            ("nat", "POSTROUTING"),
            ("filter", DOCKER_USER),
            ("filter", "FORWARD"),
            ("filter", "INPUT"),
        ] {
            let there = match self.list(table, chain).await {
                Err(problem) if is_not_installed(&problem) => return Ok(()),
                listed => listed?,
            };
            self.remove_from(table, chain, &there).await?;
        }
        Ok(())
    }

    async fn remove_from(&self, table: &str, chain: &str, there: &[String]) -> anyhow::Result<()> {
        for line in there
            .iter()
            .filter(|line| is_ours(line, &self.names.comment))
        {
            let mut arguments = vec!["-t".to_owned(), table.to_owned(), "-D".to_owned()];
            arguments.push(chain.to_owned());
            arguments.extend(words(line).skip(2));
            self.iptables(&arguments).await?;
        }
        Ok(())
    }

    async fn forward_chain(&self) -> anyhow::Result<&'static str> {
        let all = self
            .iptables(&["-t", "filter", "-S", "FORWARD"].map(str::to_owned))
            .await?;
        let jumps = all
            .lines()
            .any(|line| line.ends_with(&format!("-j {DOCKER_USER}")));
        Ok(if jumps { DOCKER_USER } else { "FORWARD" })
    }

    /// The rules of a chain as `iptables` prints them, each `-A CHAIN …`; none where it is not there. The whole table
    /// is asked for: what is said of a chain that is not there depends on the version.
    async fn list(&self, table: &str, chain: &str) -> anyhow::Result<Vec<String>> {
        let listed = self
            .iptables(&["-t", table, "-S"].map(str::to_owned))
            .await?;
        let begin = format!("-A {chain} ");
        let rules = listed.lines().filter(|line| line.starts_with(&begin));
        Ok(rules.map(str::to_owned).collect())
    }

    async fn iptables(&self, arguments: &[String]) -> anyhow::Result<String> {
        let mut command = Command::new("iptables");
        command.args(["-w", "5"]).args(arguments).kill_on_drop(true);
        let shown = format!("iptables {}", arguments.join(" "));
        said(&shown, command.output()).await
    }

    /// Carries out changes of one table, all or none.
    async fn restore(&self, changes: &str) -> anyhow::Result<()> {
        let mut command = Command::new("iptables-restore");
        command.args(["-w", "5", "--noflush"]).kill_on_drop(true);
        command.stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = async {
            let mut child = command.spawn()?;
            if let Some(mut stdin) = child.stdin.take() {
                stdin.write_all(changes.as_bytes()).await?;
            }
            child.wait_with_output().await
        };
        let said = said("iptables-restore", output).await;
        said.map(|_| ())
            .with_context(|| changes.replace('\n', "; "))
    }
}

/// What a program wrote, if it succeeded.
async fn said(
    program: &str,
    output: impl Future<Output = io::Result<Output>>,
) -> anyhow::Result<String> {
    let output = timeout(LIMIT, output)
        .await
        .with_context(|| format!("`{program}` took too long"))?
        .with_context(|| format!("failed to run `{program}`: is it installed?"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program}` failed: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether a call failed because there is no such program on this host, and so no rule either.
fn is_not_installed(problem: &anyhow::Error) -> bool {
    let mut causes = problem
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::NotFound)
}

/// All of them, in the order in which they stand in their chains.
fn rules(names: &Names, subnet: &str, forward: &'static str) -> Vec<Rule> {
    let (interface, bridge) = (names.interface.as_str(), names.bridge.as_str());
    let rule = |table, chain, matches: &[&str], target: &str| {
        let comment = ["-m", "comment", "--comment", &names.comment, "-j", target];
        let arguments = matches.iter().chain(&comment);
        Rule {
            table,
            chain,
            arguments: arguments.map(|word| (*word).to_owned()).collect(),
        }
    };
    let name_queries = |from: &str, protocol: &str| {
        let matches = ["-i", from, "-p", protocol, "-m", protocol, "--dport", "53"];
        rule("filter", "INPUT", &matches, "ACCEPT")
    };
    vec![
        // Before the engine's masquerade: the other side sees who really speaks.
        rule(
            "nat",
            "POSTROUTING",
            &["-s", subnet, "-o", interface],
            "RETURN",
        ),
        rule(
            "filter",
            forward,
            &["-i", interface, "-o", bridge],
            "ACCEPT",
        ),
        rule(
            "filter",
            forward,
            &["-i", bridge, "-o", interface],
            "ACCEPT",
        ),
        // Of a VPN user to a container of another node.
        rule(
            "filter",
            forward,
            &["-i", interface, "-o", interface],
            "ACCEPT",
        ),
        // Whoever else this host forwards for must not speak in the name of its containers.
        rule(
            "filter",
            forward,
            &["-s", subnet, "!", "-i", bridge, "-o", interface],
            "DROP",
        ),
        name_queries(bridge, "udp"),
        name_queries(bridge, "tcp"),
        // Of VPN users.
        name_queries(interface, "udp"),
        name_queries(interface, "tcp"),
    ]
}

fn chains(rules: &[Rule]) -> Vec<(&'static str, &'static str)> {
    let mut chains: Vec<_> = rules.iter().map(|rule| (rule.table, rule.chain)).collect();
    chains.dedup();
    chains
}

/// Whether exactly these rules of ours are there, in their order, and no other rule hides sources before them.
/// Elsewhere the place is not ours to insist on: people's own rules may come first.
fn stand(there: &[String], wanted: &[&Rule], comment: &str) -> bool {
    let before = there.iter().take_while(|line| !is_ours(line, comment));
    let is_hidden = before.into_iter().any(|line| hides_sources(line));
    let ours = there.iter().filter(|line| is_ours(line, comment));
    let ours: Vec<Vec<String>> = ours.map(|line| words(line).skip(2).collect()).collect();
    let wanted = wanted.iter().map(|rule| &rule.arguments);
    !is_hidden && ours.iter().eq(wanted)
}

fn hides_sources(line: &str) -> bool {
    let mut words = words(line).skip_while(|word| word != "-j");
    words
        .nth(1)
        .is_some_and(|target| target == "MASQUERADE" || target == "SNAT")
}

fn is_ours(line: &str, comment: &str) -> bool {
    let mut words = words(line);
    words.any(|word| word == "--comment") && words.next().as_deref() == Some(comment)
}

/// The words of a printed rule. `iptables` puts a text with unusual characters in quotation marks; none of
/// ours has a blank.
fn words(line: &str) -> impl Iterator<Item = String> {
    line.split_ascii_whitespace()
        .map(|word| word.trim_matches('"').to_owned())
}

fn shown(rule: &Rule) -> String {
    let (table, chain) = (rule.table, rule.chain);
    format!(
        "iptables -t {table} -A {chain} {}",
        rule.arguments.join(" ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn firewall() -> (Vec<Rule>, Names) {
        let names = Names::of("kontena0").unwrap();
        (rules(&names, "10.80.7.0/24", DOCKER_USER), names)
    }

    /// As `iptables -S` prints them.
    fn printed(rules: &[&Rule]) -> Vec<String> {
        let line = |rule: &&Rule| format!("-A {} {}", rule.chain, rule.arguments.join(" "));
        rules.iter().map(line).collect()
    }

    #[test]
    fn a_rule_counts_where_it_stands_before_the_engine_s() {
        let (rules, names) = firewall();
        let wanted = [&rules[0]];
        let engine = "-A POSTROUTING -s 10.80.7.0/24 ! -o kontena-br -j MASQUERADE".to_owned();
        let ours = printed(&wanted).remove(0);
        let stand = |there: &[String]| stand(there, &wanted, &names.comment);
        assert!(stand(&[ours.clone(), engine.clone()]));
        assert!(!stand(&[engine.clone(), ours.clone()]), "too late");
        assert!(!stand(&[engine]), "flushed");
        assert!(!stand(&[ours.clone(), ours.clone()]), "twice");
        let old = ours.replace("10.80.7", "10.80.9");
        assert!(
            !stand(&[ours.clone(), old]),
            "one of another subnet is left over"
        );
        let people = "-A POSTROUTING -s 192.0.2.0/24 -j ACCEPT".to_owned();
        assert!(stand(&[people, ours]), "people's own rules may come first");
    }

    #[test]
    fn quotation_marks_of_an_older_iptables_are_no_difference() {
        let (rules, names) = firewall();
        let wanted = [&rules[1], &rules[2], &rules[3]];
        let quoted: Vec<String> = printed(&wanted)
            .iter()
            .map(|line| line.replace(&names.comment, &format!("\"{}\"", names.comment)))
            .collect();
        assert!(stand(&quoted, &wanted, &names.comment));
    }

    #[test]
    fn nobody_else_s_rule_is_ours() {
        let (_, names) = firewall();
        for line in [
            "-A INPUT -j ACCEPT",
            "-A INPUT -m comment --comment kontena:kontena1 -j ACCEPT",
            "-A INPUT -m comment --comment \"for kontena:kontena0\" -j ACCEPT",
        ] {
            assert!(!is_ours(line, &names.comment), "{line}");
        }
    }

    #[test]
    fn a_lock_that_somebody_holds_is_not_taken_for_a_host_without_rules() {
        let locked = "`iptables -S` failed: Another app is currently holding the xtables lock.";
        assert!(!is_not_installed(&anyhow::anyhow!(locked)));
        let missing = anyhow::Error::new(io::Error::from(io::ErrorKind::NotFound));
        assert!(is_not_installed(
            &missing.context("failed to run `iptables`")
        ));
    }
}
