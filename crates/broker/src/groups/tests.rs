use super::{
    group::{Group, Output, State},
    *,
};
use crate::{
    flush::Flusher,
    testing::{Folder, block_on as wait},
};
use proptest::prelude::*;
use std::collections::BTreeMap;

/// A group by itself, with a clock that the test moves.
struct Bench {
    group: Group,
    now: i64,
    last: Token,
    joined: BTreeMap<Token, JoinAnswer>,
    synced: BTreeMap<Token, SyncAnswer>,
    saves: usize,
}

impl Bench {
    fn new() -> Self {
        Self::with(Limits::default())
    }

    fn with(limits: Limits) -> Self {
        let group = Group::new(limits, 0);
        Self { group, now: 0, last: 0, joined: BTreeMap::new(), synced: BTreeMap::new(), saves: 0 }
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            match output {
                Output::Joined(token, answer) => {
                    assert!(self.joined.insert(token, answer).is_none(), "answered twice")
                }
                Output::Synced(token, answer) => {
                    assert!(self.synced.insert(token, answer).is_none(), "answered twice")
                }
                Output::Save => self.saves += 1,
            }
        }
    }

    fn join(&mut self, request: Join) -> Token {
        self.last += 1;
        let mut out = Vec::new();
        self.group.join(request, format!("m{}", self.last), self.last, self.now, &mut out);
        self.take(out);
        self.last
    }

    fn sync(&mut self, member: &str, assignments: &[(&str, &str)]) -> Token {
        self.last += 1;
        let assignments =
            assignments.iter().map(|(id, bytes)| ((*id).to_owned(), bytes.as_bytes().to_vec())).collect();
        let generation = self.group.generation;
        let request = Sync { member_id: member.to_owned(), generation, assignments, ..Sync::default() };
        let mut out = Vec::new();
        self.group.sync(request, self.last, self.now, &mut out);
        self.take(out);
        self.last
    }

    fn tick(&mut self, after: i64) {
        self.now += after;
        let mut out = Vec::new();
        self.group.tick(self.now, &mut out);
        self.take(out);
    }

    fn beat(&mut self, member: &str) -> Code {
        self.group.heartbeat(member, None, self.group.generation, self.now)
    }

    /// A new member by the two steps of version 4; the token of its second.
    fn member(&mut self) -> (String, Token) {
        let asked = self.join(consumer("", &["range"]));
        assert_eq!(self.joined[&asked].code, Code::MemberIdRequired);
        let id = self.joined[&asked].member_id.clone();
        let token = self.join(consumer(&id, &["range"]));
        (id, token)
    }

    /// A stable group of two: the leader and the other.
    fn pair(&mut self) -> (String, String) {
        let (leader, _) = self.member();
        let (other, waits) = self.member();
        assert!(!self.joined.contains_key(&waits));
        self.join(consumer(&leader, &["range"]));
        assert_eq!(self.joined[&waits].code, Code::None);
        let other_sync = self.sync(&other, &[]);
        self.sync(&leader, &[(&leader, "p0"), (&other, "p1")]);
        assert_eq!(self.synced[&other_sync].assignment, b"p1");
        (leader, other)
    }
}

fn consumer(id: &str, protocols: &[&str]) -> Join {
    Join {
        member_id: id.to_owned(),
        client_id: "test".to_owned(),
        session_timeout: 10_000,
        rebalance_timeout: 30_000,
        protocol_type: "consumer".to_owned(),
        protocols: protocols.iter().map(|name| ((*name).to_owned(), id.as_bytes().to_vec())).collect(),
        name_first: true,
        ..Join::default()
    }
}

fn named(instance: &str, id: &str) -> Join {
    Join { instance: Some(instance.to_owned()), can_skip_assignment: true, ..consumer(id, &["range"]) }
}

#[test]
fn two_members_share_and_the_leader_hears_of_both() {
    let mut bench = Bench::new();
    let (leader, first) = bench.member();
    assert_eq!((bench.joined[&first].generation, bench.joined[&first].leader.clone()), (1, leader.clone()));
    let (other, second) = bench.member();
    assert_eq!(bench.beat(&leader), Code::RebalanceInProgress);
    let again = bench.join(consumer(&leader, &["range"]));
    let answer = &bench.joined[&again];
    let ids: Vec<&str> = answer.members.iter().map(|member| member.id.as_str()).collect();
    assert_eq!((answer.generation, ids), (2, vec![leader.as_str(), other.as_str()]));
    assert!(bench.joined[&second].members.is_empty(), "only the leader hears of the others");
    let early = bench.sync(&other, &[]);
    assert!(!bench.synced.contains_key(&early));
    let saves = bench.saves;
    bench.sync(&leader, &[(&other, "p1")]);
    assert_eq!((bench.synced[&early].assignment.as_slice(), bench.saves), (b"p1".as_slice(), saves + 1));
    assert_eq!((bench.group.state, bench.beat(&other)), (State::Stable, Code::None));
    let late = bench.sync(&other, &[]);
    assert_eq!(bench.synced[&late].assignment, b"p1");
}

#[test]
fn who_is_silent_for_a_session_is_gone() {
    let mut bench = Bench::new();
    let (leader, other) = bench.pair();
    bench.tick(9_000);
    assert_eq!(bench.beat(&leader), Code::None);
    assert_eq!(bench.group.deadline(), Some(10_000));
    bench.tick(1_000);
    assert_eq!((bench.beat(&leader), bench.beat(&other)), (Code::RebalanceInProgress, Code::UnknownMemberId));
    let again = bench.join(consumer(&leader, &["range"]));
    assert_eq!(bench.joined[&again].members.len(), 1);
}

#[test]
fn who_does_not_join_again_in_time_is_left_out() {
    let mut bench = Bench::new();
    let (leader, other) = bench.pair();
    let token = bench.join(consumer(&leader, &["range"]));
    for _ in 0..5 {
        bench.tick(5_900);
        assert_eq!(bench.beat(&other), Code::RebalanceInProgress);
        assert!(!bench.joined.contains_key(&token));
    }
    bench.tick(500);
    assert_eq!(bench.joined[&token].members.len(), 1);
    assert_eq!(bench.beat(&other), Code::UnknownMemberId);
}

#[test]
fn a_leader_that_brings_no_assignment_is_replaced() {
    let mut bench = Bench::new();
    let (leader, other) = bench.pair();
    bench.join(consumer(&leader, &["range"]));
    bench.join(consumer(&other, &["range"]));
    let waits = bench.sync(&other, &[]);
    for _ in 0..4 {
        bench.tick(7_000);
        bench.beat(&leader);
    }
    bench.tick(2_500);
    assert_eq!(bench.synced[&waits].code, Code::RebalanceInProgress);
    assert_eq!(bench.beat(&leader), Code::UnknownMemberId);
    let again = bench.join(consumer(&other, &["range"]));
    assert_eq!(bench.joined[&again].leader, other);
}

#[test]
fn a_named_member_that_comes_back_takes_its_place_without_a_rebalance() {
    let mut bench = Bench::new();
    bench.join(named("a", ""));
    bench.join(named("b", ""));
    let old = bench.group.of_instance("a").unwrap().clone();
    bench.join(named("a", &old));
    let other = bench.group.of_instance("b").unwrap().clone();
    bench.sync(&old, &[(&old, "pa"), (&other, "pb")]);
    assert_eq!((bench.group.state, bench.group.generation), (State::Stable, 2));
    let back = bench.join(named("a", ""));
    let answer = bench.joined[&back].clone();
    assert_eq!((answer.code, answer.generation, answer.skip_assignment), (Code::None, 2, true));
    assert_ne!(answer.member_id, old);
    let sync = bench.sync(&answer.member_id, &[]);
    assert_eq!(bench.synced[&sync].assignment, b"pa");
    assert_eq!(bench.group.heartbeat(&old, Some("a"), 2, bench.now), Code::FencedInstanceId);
    let fenced = bench.join(named("a", &old));
    assert_eq!(bench.joined[&fenced].code, Code::FencedInstanceId);
    // A tool sends it away by its name alone.
    let mut out = Vec::new();
    assert_eq!(bench.group.leave("", Some("a"), 0, &mut out), (answer.member_id, Code::None));
    assert_eq!(bench.group.members.len(), 1);
}

#[test]
fn members_agree_on_a_protocol_that_all_have() {
    let mut bench = Bench::new();
    let direct = |id: &str, protocols: &[&str]| Join { name_first: false, ..consumer(id, protocols) };
    bench.join(direct("", &["sticky", "range"]));
    let stranger = bench.join(direct("", &["other"]));
    assert_eq!(bench.joined[&stranger].code, Code::InconsistentGroupProtocol);
    let stranger = bench.join(Join { protocol_type: "connect".to_owned(), ..direct("", &["range"]) });
    assert_eq!(bench.joined[&stranger].code, Code::InconsistentGroupProtocol);
    bench.join(direct("", &["range", "round"]));
    bench.join(direct("m1", &["sticky", "range"]));
    assert_eq!(bench.group.protocol.as_deref(), Some("range"));
    let hasty = bench.join(Join { session_timeout: 10, ..direct("", &["range"]) });
    assert_eq!(bench.joined[&hasty].code, Code::InvalidSessionTimeout);
}

#[test]
fn the_first_members_wait_for_others_if_that_is_wanted() {
    let mut bench = Bench::with(Limits { initial_delay: 3_000, ..Limits::default() });
    let (_, first) = bench.member();
    let (_, second) = bench.member();
    bench.tick(2_900);
    assert!(!bench.joined.contains_key(&first));
    bench.tick(100);
    assert_eq!((bench.joined[&first].generation, bench.joined[&second].generation), (1, 1));
}

#[test]
fn commits_are_of_members_of_this_generation_or_of_nobody() {
    let mut bench = Bench::new();
    assert_eq!(bench.group.may_commit("", None, -1, 0), Code::None);
    let (leader, other) = bench.pair();
    let generation = bench.group.generation;
    assert_eq!(bench.group.may_commit("", None, -1, 0), Code::UnknownMemberId);
    assert_eq!(bench.group.may_commit(&other, None, generation, 0), Code::None);
    assert_eq!(bench.group.may_commit(&other, None, generation - 1, 0), Code::IllegalGeneration);
    bench.join(consumer(&leader, &["range"]));
    assert_eq!(
        bench.group.may_commit(&other, None, generation, 0),
        Code::None,
        "before the rebalance is over"
    );
}

fn steps() -> impl Strategy<Value = Vec<(u8, usize, i64)>> {
    prop::collection::vec((0..6_u8, 0..4_usize, 0..15_000_i64), 0..60)
}

proptest! {
    /// Whatever members do, and whenever they stop: every request has one answer in the end, and a group that is left alone is empty.
    #[test]
    fn every_request_is_answered_and_a_group_left_alone_ends(steps in steps(), delay in prop::sample::select(vec![0, 3_000])) {
        let mut bench = Bench::with(Limits { initial_delay: delay, ..Limits::default() });
        let (mut joins, mut syncs) = (Vec::new(), Vec::new());
        for (step, who, pause) in steps {
            let ids: Vec<String> = bench.group.members.keys().chain(bench.group.pending.keys()).cloned().collect();
            let id = ids.get(who).cloned().unwrap_or_default();
            match step {
                0 => joins.push(bench.join(consumer("", &["range"]))),
                1 => joins.push(bench.join(consumer(&id, &["range"]))),
                2 => joins.push(bench.join(named(["a", "b"][who % 2], ""))),
                3 => syncs.push(bench.sync(&id, &[(&id, "p")])),
                4 => bench.tick(pause),
                _ => {
                    let mut out = Vec::new();
                    bench.group.leave(&id, None, bench.now, &mut out);
                    bench.take(out);
                }
            }
            let leader = bench.group.leader.clone();
            prop_assert!(bench.group.state != State::Stable || leader.is_some_and(|id| bench.group.members.contains_key(&id)));
        }
        let mut rounds = 0;
        while let Some(deadline) = bench.group.deadline() {
            bench.tick((deadline - bench.now).max(0));
            rounds += 1;
            prop_assert!(rounds < 200, "it never ends: {:?}", bench.group);
        }
        prop_assert_eq!(bench.group.state, State::Empty);
        prop_assert!(joins.iter().all(|token| bench.joined.contains_key(token)));
        prop_assert!(syncs.iter().all(|token| bench.synced.contains_key(token)));
    }
}

fn open(folder: &Folder, now: i64) -> Groups {
    let journal = Journal::open(folder.path(), Flusher::start().unwrap()).unwrap();
    Groups::open(Arc::new(journal), Limits::default(), now)
}

fn offset(offset: i64, metadata: &str) -> Committed {
    Committed { offset, leader_epoch: 2, timestamp: 1, metadata: metadata.to_owned() }
}

#[test]
fn a_group_survives_a_restart_with_members_generation_and_offsets() {
    let folder = Folder::new();
    let groups = open(&folder, 0);
    let asked = wait(groups.join("g", consumer("", &["range"]), 0).unwrap());
    let joined = wait(groups.join("g", consumer(&asked.member_id, &["range"]), 0).unwrap());
    let id = joined.member_id.clone();
    let assignments = [(id.clone(), b"all".to_vec())].into();
    let sync = Sync { member_id: id.clone(), generation: joined.generation, assignments, ..Sync::default() };
    assert_eq!(wait(groups.sync("g", sync.clone(), 0)).assignment, b"all");
    let partition = ("t".to_owned(), 3);
    groups.commit("g", &[(partition.clone(), offset(42, "mine"))]).unwrap().wait().unwrap();
    drop(groups);

    let groups = open(&folder, 1_000);
    assert_eq!(groups.deadline(), Some(11_000), "a session's time to show itself");
    assert_eq!(groups.heartbeat("g", &id, None, joined.generation, 5_000), Code::None);
    assert_eq!(wait(groups.sync("g", sync, 5_000)).assignment, b"all");
    assert_eq!(groups.committed("g", &partition), Some(offset(42, "mine")));
    assert_eq!(groups.describe("g").unwrap().members[0].assignment, b"all");
    assert_eq!(groups.delete("g").unwrap_err(), Code::NonEmptyGroup);
    groups.tick(11_000);
    assert_eq!(groups.list()[0].state, "Stable", "the heartbeat counts, though the timer was not moved");
    groups.tick(15_000);
    assert_eq!(groups.list()[0].state, "Empty");
    groups.delete("g").unwrap().wait().unwrap();
    assert_eq!((groups.list(), groups.committed("g", &partition)), (Vec::new(), None));
    assert_eq!(groups.deadline(), None);
    drop(groups);
    assert_eq!(open(&folder, 0).list(), []);
}

#[test]
fn offsets_of_topics_in_use_stay_and_old_ones_expire() {
    let folder = Folder::new();
    let groups = open(&folder, 0);
    let (used, other) = (("used".to_owned(), 0), ("other".to_owned(), 0));
    groups.commit("g", &[(used.clone(), offset(1, "")), (other.clone(), offset(2, ""))]).unwrap().forget();
    groups.commit("simple", &[(used.clone(), offset(3, ""))]).unwrap().forget();
    let subscription = b"\0\x01\0\0\0\x01\0\x04used\xff\xff\xff\xff".to_vec();
    let request =
        Join { protocols: vec![("range".to_owned(), subscription)], name_first: false, ..consumer("", &[]) };
    let joined = wait(groups.join("g", request, 0).unwrap());
    let (codes, ticket) = groups.delete_offsets("g", &[used.clone(), other.clone()]).unwrap();
    ticket.wait().unwrap();
    assert_eq!(codes, [Code::GroupSubscribedToTopic, Code::None]);
    assert_eq!((groups.committed("g", &used).is_some(), groups.committed("g", &other)), (true, None));
    let week = groups.limits().retention;
    groups.expire(week + 10).unwrap();
    assert!(groups.committed("simple", &used).is_none() && groups.committed("g", &used).is_some());
    assert_eq!(groups.leave("g", &joined.member_id, None, week + 10).1, Code::None);
    groups.expire(week + 20).unwrap();
    assert_eq!(groups.list().len(), 1, "so long after the last member has gone");
    groups.expire(2 * week + 20).unwrap();
    assert_eq!(groups.list(), []);
}

#[test]
fn the_sleeper_is_woken_by_an_earlier_deadline_alone() {
    let folder = Folder::new();
    let groups = open(&folder, 0);
    let mut context = Context::from_waker(Waker::noop());
    assert_eq!(groups.poll_earlier(None, &mut context), Poll::Pending);
    let asked = wait(groups.join("g", consumer("", &["range"]), 0).unwrap());
    assert_eq!(asked.code, Code::MemberIdRequired);
    assert_eq!(groups.poll_earlier(None, &mut context), Poll::Ready(()));
    assert_eq!(groups.poll_earlier(groups.deadline(), &mut context), Poll::Pending);
    let unknown = wait(groups.join("h", consumer("nobody", &["range"]), 0).unwrap());
    assert_eq!(unknown.code, Code::UnknownMemberId);
    assert_eq!(groups.list().len(), 1, "who is refused makes no group");
}
