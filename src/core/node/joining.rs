//! Becoming a member: the first of a grid, or admitted by one; and admitting others.

use std::net::IpAddr;
use std::time::Duration;

use crate::command::{Accepted, CommandId, Refusal};
use crate::document::edit::Edit;
use crate::document::{DocumentId, Have, Ingested, Prepared, Replica, SignedEnvelope};
use crate::id::{GridId, GridName, NodeId, NodeName, TokenId};
use crate::identity::SecretKey;
use crate::membership::admission::{
    Admission, Admitted, Call, Candidate, JoinRequest, admit, check_labels,
};
use crate::membership::token::Token;
use crate::message::{JoinAnswer, JoinCall, JoinRefusal};
use crate::network::plan::{AddressPlan, HostRoute, in_the_way, proposal, telling};
use crate::placement::PLACEMENT_VERSION;
use crate::time::{Instant, Now};

use super::inbox::Inbox;
use super::keys::KeyStore;
use super::leaving::Leave;
use super::saving::Purpose;
use super::writing::Job;
use super::{Node, Output, Phase, Record, SavedState};

/// How long a member may take to answer a stranger, for each page of the welcome.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// What a welcome carries at once: a few hundred members. Taking them in costs some 20 ms, and a node
/// that is in no grid yet misses nothing meanwhile.
const PAGE_BYTES: usize = 128 * 1024;

/// The most pages of a welcome: the documents of 4,096 members and as many changes of each.
const MAX_PAGES: usize = 256;

/// The most heads that a call names, at 66 bytes each, so that a call stays small. Of a history with more concurrent ends some is sent twice.
const MAX_HEADS: usize = 512;

/// The local value that names the grid: its key.
const GRID: &str = "grid";
/// The local value that holds the grid's secret key, on the node that made it.
const GRID_KEY: &str = "grid-key";

/// A join or an init under way.
#[derive(Debug, Default)]
pub(super) struct Joining {
    asked: Option<Asked>,
    /// The token that `init` made, for its answer.
    made: Option<String>,
    pub(super) leave: Option<Leave>,
}

#[derive(Debug)]
struct Asked {
    command: CommandId,
    address: String,
    grid: GridId,
    request: JoinRequest,
    /// What was taken in of the pages of the welcome so far, page by page.
    pages: Vec<Vec<SignedEnvelope>>,
    until: Instant,
}

impl Joining {
    /// The question to a sponsor that is not answered yet: of which command.
    pub(super) fn asking(&self) -> Option<CommandId> {
        self.asked.as_ref().map(|asked| asked.command)
    }

    pub(super) fn next_wake(&self) -> Option<Instant> {
        self.asked.as_ref().map(|asked| asked.until)
    }
}

impl Node {
    /// What was on disk.
    pub(super) fn restore(&mut self, saved: SavedState, now: Now) {
        let Some(grid) = saved
            .local
            .get(GRID)
            .and_then(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
        else {
            return;
        };
        self.replica.open_grid(GridId(grid));
        for problem in self.replica.load(saved.envelopes) {
            tracing::warn!(%problem, "A change on disk is not valid");
        }
        for report in saved.reports {
            if let Err(problem) = self.reports.accept(report) {
                tracing::warn!(%problem, "A report on disk is not valid");
            }
        }
        self.arrivals = saved.arrivals;
        self.leasing.restore(&saved.local, now.monotonic);
        self.key_store = KeyStore::restore(&saved.local, &saved.keys, now.monotonic);
        self.heed_own_report(self.reports.order(&self.me), now);
        self.phase = Phase::Member;
        if self.replica.documents().roster.len() > 1 {
            self.own.looks_since = Some(now.monotonic);
        }
        self.embody(now);
    }

    fn may_enter(&self) -> Result<(), Refusal> {
        match self.phase {
            Phase::Alone => Ok(()),
            Phase::Joining => Err(Refusal::Busy),
            Phase::Cloned => Err(Refusal::Cloned),
            Phase::Removed => Err(Refusal::Removed),
            Phase::Member | Phase::Leaving => {
                let grid = self
                    .view
                    .documents
                    .grid
                    .name
                    .as_ref()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                Err(Refusal::AlreadyInGrid { grid })
            }
        }
    }

    // --- the first node ---

    /// `init`.
    pub(super) fn found(&mut self, id: CommandId, founding: Founding, now: Now) {
        if let Err(refusal) = self.may_enter() {
            return self.reply(id, Err(refusal));
        }
        if let Err(problem) = check_labels(&founding.labels) {
            return self.reply(id, Err(Refusal::Invalid(problem)));
        }
        if let Err(refusal) = founding.check_routes() {
            return self.reply(id, Err(refusal));
        }
        let key = SecretKey::from_seed(founding.grid_seed);
        let grid = GridId(key.public());
        let token = Token::new(grid, founding.token_seed);
        let edits = founding.edits(grid, self.candidate(&founding), token.id(), now);
        match self.replica.prepare_genesis(&key, &edits, now.wall) {
            Ok(prepared) => {
                self.joining.made = Some(token.reveal());
                let key = Record::Local {
                    key: GRID_KEY.to_owned(),
                    value: founding.grid_seed.to_vec(),
                };
                let mut records: Vec<_> = prepared
                    .iter()
                    .map(|one| Record::Envelope(one.envelope.clone()))
                    .collect();
                records.push(key);
                self.become_member(id, grid, prepared, records);
            }
            Err(problem) => self.reply(id, Err(Refusal::Invalid(problem.to_string()))),
        }
    }

    fn candidate(&self, founding: &Founding) -> Candidate {
        Candidate {
            node: self.me,
            name: founding.name.clone(),
            labels: founding.labels.clone(),
            addresses: self.own.addresses().to_vec(),
            routes: Vec::new(),
        }
    }

    // --- a stranger ---

    /// `join`: asks the member at `address` to be admitted.
    pub(super) fn ask(
        &mut self,
        id: CommandId,
        address: String,
        token: &str,
        stranger: Stranger,
        now: Now,
    ) {
        if let Err(refusal) = self.may_enter() {
            return self.reply(id, Err(refusal));
        }
        let Stranger {
            name,
            labels,
            routes,
        } = stranger;
        let token: Token = match token.parse() {
            Ok(token) => token,
            Err(_) => {
                return self.reply(
                    id,
                    Err(Refusal::TokenForm {
                        token: shortened(token),
                    }),
                );
            }
        };
        if let Err(problem) = check_labels(&labels) {
            return self.reply(id, Err(Refusal::Invalid(problem)));
        }
        let candidate = Candidate {
            node: self.me,
            name,
            labels,
            addresses: self.own.addresses().to_vec(),
            routes: telling(routes),
        };
        let request = JoinRequest::new(&token, candidate, self.config.version.clone());
        self.phase = Phase::Joining;
        let until = now.monotonic + ANSWER_WITHIN;
        self.joining.asked = Some(Asked {
            command: id,
            address: address.clone(),
            grid: token.grid(),
            request: request.clone(),
            pages: Vec::new(),
            until,
        });
        let have = Have::default();
        self.push(Output::AskJoin {
            id,
            address,
            call: Box::new(JoinCall { request, have }),
        });
    }

    /// Gives up on a member that does not answer.
    pub(super) fn stop_asking(&mut self, now: Now) {
        let asked = self.joining.asked.as_ref();
        if let Some(asked) = asked.filter(|asked| asked.until <= now.monotonic) {
            self.join_answered(asked.command, Err("no answer in time".to_owned()), now);
        }
    }

    /// An answer to a question that was given up is none to the one that followed it.
    pub(super) fn join_answered(
        &mut self,
        id: CommandId,
        answer: Result<JoinAnswer, String>,
        now: Now,
    ) {
        let asked = self.joining.asked.take_if(|asked| asked.command == id);
        let Some(asked) = asked else { return };
        match answer {
            Ok(JoinAnswer::Welcome {
                grid,
                envelopes,
                more,
            }) if grid == asked.grid => {
                self.welcomed(asked, envelopes, more, now);
            }
            Ok(JoinAnswer::Welcome { .. }) => {
                let problem = "it belongs to another grid than the token".to_owned();
                self.not_admitted(
                    asked.command,
                    Refusal::Unreachable {
                        address: asked.address,
                        problem,
                    },
                );
            }
            Ok(JoinAnswer::Refused(refusal)) => {
                let refusal = refused(refusal, &asked.address);
                self.not_admitted(asked.command, refusal);
            }
            Err(problem) => {
                self.not_admitted(
                    asked.command,
                    Refusal::Unreachable {
                        address: asked.address,
                        problem,
                    },
                );
            }
        }
    }

    /// Believes the welcome only if the `grid` document begins with the key that the token pins, and
    /// says that this node is a member.
    fn welcomed(&mut self, mut asked: Asked, envelopes: Vec<SignedEnvelope>, more: bool, now: Now) {
        self.replica.open_grid(asked.grid);
        let mut page = Vec::new();
        for envelope in envelopes {
            if let Ingested::Applied { newly } = self.replica.ingest(envelope) {
                page.extend(newly);
            }
        }
        let is_progress = !page.is_empty();
        asked.pages.push(page);
        if more && is_progress && asked.pages.len() < MAX_PAGES {
            return self.ask_on(asked, now);
        }
        if self.replica.documents().roster.contains_key(&self.me) {
            let applied = asked.pages.into_iter().flatten();
            let records = applied.map(Record::Envelope).collect();
            return self.become_member(asked.command, asked.grid, Vec::new(), records);
        }
        let problem = "it does not prove that it belongs to the grid of the token".to_owned();
        self.not_admitted(
            asked.command,
            Refusal::Unreachable {
                address: asked.address,
                problem,
            },
        );
    }

    /// Asks for the next page of the welcome.
    fn ask_on(&mut self, mut asked: Asked, now: Now) {
        asked.until = now.monotonic + ANSWER_WITHIN;
        // All of it came from the sponsor, so the heads say everything.
        let mut heads = self.replica.heads(&DocumentId::Grid);
        heads.truncate(MAX_HEADS);
        let have = Have {
            heads,
            sessions: Vec::new(),
        };
        let call = Box::new(JoinCall {
            request: asked.request.clone(),
            have,
        });
        let (id, address) = (asked.command, asked.address.clone());
        self.joining.asked = Some(asked);
        self.push(Output::AskJoin { id, address, call });
    }

    fn not_admitted(&mut self, command: CommandId, refusal: Refusal) {
        self.start_afresh();
        self.phase = Phase::Alone;
        self.reply(command, Err(refusal));
    }

    // --- both ---

    fn become_member(
        &mut self,
        command: CommandId,
        grid: GridId,
        founding: Vec<Prepared>,
        mut records: Vec<Record>,
    ) {
        self.phase = Phase::Joining;
        records.push(Record::Local {
            key: GRID.to_owned(),
            value: grid.0.to_vec(),
        });
        self.save(Purpose::Admitted { command, founding }, records);
    }

    /// The grid is on disk: from now on this node is a member.
    pub(super) fn admitted(
        &mut self,
        command: CommandId,
        founding: Vec<Prepared>,
        result: Result<(), String>,
        now: Now,
    ) {
        let join_token = self.joining.made.take();
        if let Err(problem) = result {
            self.replica.abandon(founding);
            return self.not_admitted(command, Refusal::Disk { problem });
        }
        self.replica.commit(founding);
        self.phase = Phase::Member;
        self.embody(now);
        self.look(now);
        let saved_on = self.name_of(self.me).into_iter().collect();
        self.reply(
            command,
            Ok(Accepted {
                saved_on,
                has_others: false,
                join_token,
            }),
        );
    }

    /// Forgets a grid that this node did not become a member of.
    pub(super) fn start_afresh(&mut self) {
        self.replica = Replica::new(self.config.key.clone(), self.chance.draw());
        self.inbox = Inbox::default();
    }

    // --- the sponsor ---

    pub(super) fn join_asked(
        &mut self,
        id: u64,
        from: NodeId,
        seen: Option<IpAddr>,
        call: JoinCall,
        _now: Now,
    ) {
        match self.may_admit() {
            Ok(()) => self.queue(Job::Admit {
                id,
                from,
                seen,
                call: Box::new(call),
            }),
            Err(problem) => self.refuse_join(id, problem),
        }
    }

    /// Whether this node may admit anybody now; else why not, in words for whoever asks.
    pub(super) fn may_admit(&self) -> Result<(), &'static str> {
        match self.phase {
            Phase::Member if self.is_stopping() => Err("its daemon is stopping"),
            Phase::Member => Ok(()),
            Phase::Alone | Phase::Joining => Err("it belongs to no grid itself"),
            Phase::Leaving | Phase::Removed => Err("it left its grid"),
            Phase::Cloned => Err("its own identity was cloned"),
        }
    }

    pub(super) fn refuse_join(&mut self, id: u64, problem: &str) {
        let answer = JoinAnswer::Refused(not_now(problem.to_owned()));
        self.push(Output::AnswerJoin { id, answer });
    }

    /// What admits a stranger: nothing to write where it is a member already.
    pub(super) fn admission(
        &self,
        from: NodeId,
        seen: Option<IpAddr>,
        call: &JoinCall,
        now: Now,
    ) -> Result<Vec<Edit>, JoinRefusal> {
        self.may_admit()
            .map_err(|problem| not_now(problem.to_owned()))?;
        let about = Call {
            from,
            seen,
            sponsor: self.me,
            now: now.wall,
        };
        match admit(&self.view.documents, &call.request, &about)? {
            Admitted::Now(admission) => Ok(vec![Edit::Admit(*admission)]),
            Admitted::Already => Ok(Vec::new()),
        }
    }

    pub(super) fn answer_admission(&mut self, job: Job, result: Result<(), JoinRefusal>) {
        let Job::Admit { id, call, .. } = job else {
            return;
        };
        let answer = match (result, self.view.documents.grid.id) {
            (Ok(()), Some(grid)) => self.welcome(grid, &call.have),
            (Ok(()), None) => {
                JoinAnswer::Refused(not_now("it belongs to no grid itself".to_owned()))
            }
            (Err(refusal), _) => JoinAnswer::Refused(refusal),
        };
        self.push(Output::AnswerJoin { id, answer });
    }
}

impl Node {
    /// As much of the `grid` document as fits a page, after what the stranger has.
    fn welcome(&self, grid: GridId, have: &Have) -> JoinAnswer {
        let envelopes = self.replica.missing(&DocumentId::Grid, have, PAGE_BYTES);
        let rest = self.replica.count_missing(&DocumentId::Grid, have) - envelopes.len();
        JoinAnswer::Welcome {
            grid,
            envelopes,
            more: rest > 0,
        }
    }
}

/// What `init` was given.
pub(super) struct Founding {
    pub(super) grid: GridName,
    pub(super) name: NodeName,
    pub(super) labels: Vec<String>,
    pub(super) plan: AddressPlan,
    pub(super) routes: Vec<HostRoute>,
    pub(super) grid_seed: [u8; 32],
    pub(super) token_seed: [u8; 32],
    pub(super) admin_token: [u8; 32],
}

/// How a stranger wants to be known.
pub(super) struct Stranger {
    pub(super) name: NodeName,
    pub(super) labels: Vec<String>,
    pub(super) routes: Vec<HostRoute>,
}

impl Founding {
    fn check_routes(&self) -> Result<(), Refusal> {
        let supernet = self.plan.supernet();
        match in_the_way(supernet, &self.routes) {
            None => Ok(()),
            Some(route) => Err(Refusal::Overlap {
                supernet,
                route: route.clone(),
                free: proposal(&self.routes),
            }),
        }
    }

    fn edits(&self, grid: GridId, candidate: Candidate, token: TokenId, now: Now) -> Vec<Edit> {
        vec![
            Edit::GridName(self.grid.clone()),
            Edit::PlacementVersion(PLACEMENT_VERSION),
            Edit::AddressPlan(self.plan),
            Edit::Admit(Admission::founding(grid, self.plan, candidate, now.wall)),
            Edit::JoinToken(token),
            Edit::AdminToken(self.admin_token),
        ]
    }
}

pub(super) fn not_now(problem: String) -> JoinRefusal {
    JoinRefusal::NotNow { problem }
}

fn refused(refusal: JoinRefusal, address: &str) -> Refusal {
    match refusal {
        JoinRefusal::Token => Refusal::Token,
        JoinRefusal::NameTaken { name, suggestion } => Refusal::NameTaken { name, suggestion },
        JoinRefusal::Removed => Refusal::Removed,
        JoinRefusal::Overlap { supernet, route } => Refusal::Overlap {
            supernet,
            route,
            free: None,
        },
        JoinRefusal::NotNow { problem } => Refusal::Unreachable {
            address: address.to_owned(),
            problem,
        },
    }
}

/// A token is a secret: an error shows only how it begins.
fn shortened(token: &str) -> String {
    let begin: String = token.chars().take(12).collect();
    format!("{begin}…")
}
