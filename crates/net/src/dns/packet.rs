//! DNS messages, as far as we make and read them ourselves: one question, and answers to it. RFC 1035, 6891.
//!
//! The question goes back byte for byte, so a client that mixes upper and lower case as a nonce (0x20) finds its own again.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const CLASS_ANY: u16 = 255;
const TYPE_OPT: u16 = 41;
/// What a client without EDNS takes over UDP.
const PLAIN_SIZE: usize = 512;
/// Most we send over UDP, whatever the client takes.
const UDP_SIZE: u16 = 1232;
/// Docker's, in seconds.
const TTL: u32 = 600;
/// Longest name on the wire.
const NAME: usize = 255;

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
    Ptr,
    Other,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Code {
    NoError = 0,
    FormErr = 1,
    ServFail = 2,
    NxDomain = 3,
    NotImp = 4,
    Refused = 5,
}

/// One answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    Address(IpAddr),
    Name(String),
}

/// A client's question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Query {
    /// Chosen by the client.
    pub(super) id: u16,
    /// Lower case, without the last dot.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the question ends.
    end: usize,
    recurse: bool,
    /// Bytes it takes over UDP, if it said so.
    edns: Option<u16>,
}

/// Reads a question.
///
/// # Errors
/// What to answer instead, if the packet even allows an answer.
pub(super) fn parse(packet: &[u8]) -> Result<Query, Option<Code>> {
    let header: &[u8; HEADER] = packet.first_chunk().ok_or(None)?;
    let word = |at: usize| u16::from_be_bytes([header[at], header[at + 1]]);
    let flags = word(2);
    if flags & 0x8000 != 0 {
        return Err(None);
    }
    if flags & 0x7800 != 0 {
        return Err(Some(Code::NotImp));
    }
    if word(4) != 1 || word(6) != 0 {
        return Err(Some(Code::FormErr));
    }
    let (name, at) = read_name(packet).ok_or(Some(Code::FormErr))?;
    let fixed: &[u8; 4] = packet[at..].first_chunk().ok_or(Some(Code::FormErr))?;
    let class = u16::from_be_bytes([fixed[2], fixed[3]]);
    let kind = match u16::from_be_bytes([fixed[0], fixed[1]]) {
        _ if class != CLASS_IN && class != CLASS_ANY => Kind::Other,
        1 => Kind::A,
        28 => Kind::Aaaa,
        12 => Kind::Ptr,
        _ => Kind::Other,
    };
    let end = at + 4;
    Ok(Query { id: word(0), name, kind, end, recurse: flags & 0x0100 != 0, edns: edns(&packet[end..]) })
}

/// The name behind the header and where it ends. A question has nothing to point back at, so no compression.
fn read_name(packet: &[u8]) -> Option<(String, usize)> {
    let mut name = String::new();
    let mut at = HEADER;
    loop {
        let length = usize::from(*packet.get(at)?);
        at += 1;
        if length == 0 {
            return Some((name, at));
        }
        if length > 63 || at + length - HEADER > NAME {
            return None;
        }
        if !name.is_empty() {
            name.push('.');
        }
        // Bytes that are no ASCII keep the name from matching anything of ours, which is all we need of them.
        name.extend(packet.get(at..at + length)?.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
        at += length;
    }
}

/// Size in an OPT record that comes right behind the question.
fn edns(rest: &[u8]) -> Option<u16> {
    let fixed: &[u8; 5] = rest.first_chunk()?;
    let opt = fixed[0] == 0 && u16::from_be_bytes([fixed[1], fixed[2]]) == TYPE_OPT;
    opt.then(|| u16::from_be_bytes([fixed[3], fixed[4]]))
}

/// The answer to a question that could not be read: its header with a code.
pub(super) fn refuse(packet: &[u8], code: Code) -> Option<Vec<u8>> {
    let mut header: [u8; HEADER] = *packet.first_chunk()?;
    header[2] = 0x80 | (header[2] & 0x79);
    header[3] = 0x80 | code as u8;
    header[4..].fill(0);
    Some(header.to_vec())
}

/// The answer to a question. `udp`: cut to what the client takes, and said so.
pub(super) fn respond(packet: &[u8], query: &Query, code: Code, answers: &[Answer], udp: bool) -> Vec<u8> {
    let limit = match query.edns {
        _ if !udp => usize::from(u16::MAX),
        None => PLAIN_SIZE,
        Some(size) => usize::from(size.min(UDP_SIZE)).max(PLAIN_SIZE),
    };
    let opt = if query.edns.is_some() { 11 } else { 0 };
    let mut out = packet[..query.end].to_vec();
    out[2] = 0x80 | u8::from(query.recurse);
    out[3] = 0x80 | code as u8;
    out[6..HEADER].fill(0);
    let mut count = 0u16;
    for answer in answers {
        let record = encode(answer);
        if out.len() + record.len() + opt > limit {
            out[2] |= 0x02;
            break;
        }
        out.extend(record);
        count += 1;
    }
    out[6..8].copy_from_slice(&count.to_be_bytes());
    if query.edns.is_some() {
        out[11] = 1;
        out.push(0);
        out.extend(TYPE_OPT.to_be_bytes());
        out.extend(UDP_SIZE.to_be_bytes());
        out.extend([0; 6]);
    }
    out
}

fn encode(answer: &Answer) -> Vec<u8> {
    let (kind, data) = match answer {
        Answer::Address(IpAddr::V4(v4)) => (1u16, v4.octets().to_vec()),
        Answer::Address(IpAddr::V6(v6)) => (28, v6.octets().to_vec()),
        Answer::Name(name) => (12, write_name(name)),
    };
    // 0xc00c: the name of the question.
    let mut out = vec![0xc0, 0x0c];
    out.extend(kind.to_be_bytes());
    out.extend(CLASS_IN.to_be_bytes());
    out.extend(TTL.to_be_bytes());
    out.extend(u16::try_from(data.len()).unwrap_or(0).to_be_bytes());
    out.extend(data);
    out
}

fn write_name(name: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(name.len() + 2);
    for label in name.split('.').filter(|label| !label.is_empty() && label.len() < 64) {
        out.push(u8::try_from(label.len()).unwrap_or(0));
        out.extend(label.as_bytes());
    }
    out.truncate(NAME - 1);
    out.push(0);
    out
}

/// The address a PTR question is about.
pub(super) fn reverse(name: &str) -> Option<IpAddr> {
    if let Some(v4) = name.strip_suffix(".in-addr.arpa") {
        let mut octets = v4.split('.').map(str::parse::<u8>);
        let [d, c, b, a] =
            [octets.next()?.ok()?, octets.next()?.ok()?, octets.next()?.ok()?, octets.next()?.ok()?];
        return octets.next().is_none().then(|| Ipv4Addr::new(a, b, c, d).into());
    }
    let v6 = name.strip_suffix(".ip6.arpa")?;
    let (mut address, mut count) = (0u128, 0);
    for nibble in v6.split('.') {
        let nibble = u128::from_str_radix(nibble, 16).ok().filter(|n| *n < 16 && nibble.len() == 1)?;
        address |= nibble.checked_shl(4 * count)?;
        count += 1;
    }
    (count == 32).then(|| Ipv6Addr::from(address).into())
}

/// The response code of a raw answer.
pub(super) fn code(packet: &[u8]) -> Option<u8> {
    packet.get(3).map(|byte| byte & 0x0f)
}

/// Whether a raw packet answers this raw question: same id, a response, same question section.
pub(super) fn answers(packet: &[u8], question: &[u8]) -> bool {
    let Ok(query) = parse(question) else { return false };
    packet.len() >= HEADER
        && packet[..2] == question[..2]
        && packet[2] & 0x80 != 0
        // Servers may leave the question out of an error.
        && (packet[4..6] == [0, 0] || packet.get(HEADER..query.end).is_some_and(|q| q.eq_ignore_ascii_case(&question[HEADER..query.end])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use simple_dns::{Name, Packet, QCLASS, QTYPE, Question, RCODE, TYPE, rdata::RData};

    fn ask(name: &str, kind: TYPE) -> Vec<u8> {
        let mut packet = Packet::new_query(0x1234);
        packet.set_flags(simple_dns::PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).unwrap();
        packet.questions.push(Question::new(
            name,
            QTYPE::TYPE(kind),
            QCLASS::CLASS(simple_dns::CLASS::IN),
            false,
        ));
        packet.build_bytes_vec().unwrap()
    }

    #[test]
    fn reads_what_another_codec_writes_and_back() {
        let packet = ask("Web.Example", TYPE::A);
        let query = parse(&packet).unwrap();
        assert_eq!((query.id, query.name.as_str(), query.kind), (0x1234, "web.example", Kind::A));
        let answers = [Answer::Address([10, 0, 0, 2].into()), Answer::Address([10, 0, 0, 3].into())];
        let bytes = respond(&packet, &query, Code::NoError, &answers, true);
        let read = Packet::parse(&bytes).unwrap();
        assert_eq!((read.id(), read.rcode()), (0x1234, RCODE::NoError));
        assert_eq!(read.questions[0].qname.to_string(), "Web.Example", "case is kept");
        assert_eq!(read.answers[0].name.to_string(), "Web.Example");
        let addresses: Vec<_> = read
            .answers
            .iter()
            .map(|r| match &r.rdata {
                RData::A(a) => Ipv4Addr::from(a.address),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(addresses, [Ipv4Addr::new(10, 0, 0, 2), Ipv4Addr::new(10, 0, 0, 3)]);
    }

    #[test]
    fn ptr_and_empty() {
        let packet = ask("2.0.0.10.in-addr.arpa", TYPE::PTR);
        let query = parse(&packet).unwrap();
        assert_eq!(reverse(&query.name), Some([10, 0, 0, 2].into()));
        let bytes = respond(&packet, &query, Code::NoError, &[Answer::Name("web.net".into())], true);
        let read = Packet::parse(&bytes).unwrap();
        assert!(matches!(&read.answers[0].rdata, RData::PTR(p) if p.0.to_string() == "web.net"));
        let bytes = respond(&packet, &query, Code::NxDomain, &[], true);
        assert_eq!(Packet::parse(&bytes).unwrap().rcode(), RCODE::NameError);
    }

    #[test]
    fn long_answers_are_cut_over_udp_only() {
        let packet = ask("many", TYPE::A);
        let query = parse(&packet).unwrap();
        let answers: Vec<_> = (0..100u8).map(|n| Answer::Address([10, 0, 0, n].into())).collect();
        let bytes = respond(&packet, &query, Code::NoError, &answers, true);
        assert!(bytes.len() <= 512 && bytes[2] & 2 != 0);
        assert_eq!(Packet::parse(&bytes).unwrap().answers.len(), usize::from(bytes[7]));
        let bytes = respond(&packet, &query, Code::NoError, &answers, false);
        assert_eq!(Packet::parse(&bytes).unwrap().answers.len(), 100);
        assert_eq!(bytes[2] & 2, 0);
    }

    #[test]
    fn edns_is_answered() {
        let mut packet = ask("many", TYPE::A);
        packet[11] = 1;
        packet.extend([0, 0, 41, 4, 0xd0, 0, 0, 0, 0, 0, 0]);
        let query = parse(&packet).unwrap();
        let answers: Vec<_> = (0..60u8).map(|n| Answer::Address([10, 0, 0, n].into())).collect();
        let bytes = respond(&packet, &query, Code::NoError, &answers, true);
        assert_eq!(bytes[2] & 2, 0);
        assert!(Packet::parse(&bytes).unwrap().opt().is_some());
    }

    #[test]
    fn bad_packets() {
        assert_eq!(parse(&[0; 4]), Err(None));
        let mut packet = ask("a", TYPE::A);
        packet[5] = 2;
        assert_eq!(parse(&packet), Err(Some(Code::FormErr)));
        packet[2] |= 0x80;
        assert_eq!(parse(&packet), Err(None), "never answer an answer: two servers would go on for ever");
        let mut packet = ask("a", TYPE::A);
        packet[2] |= 0x28;
        assert_eq!(parse(&packet), Err(Some(Code::NotImp)));
        let mut packet = ask("a", TYPE::A);
        packet[12] = 0xc0;
        assert_eq!(parse(&packet), Err(Some(Code::FormErr)));
        for length in 0..packet.len() {
            assert!(parse(&packet[..length]).is_err());
        }
    }

    #[test]
    fn random_bytes_do_not_panic() {
        let mut random = fastrand::Rng::with_seed(1);
        let base = ask("some.name.example", TYPE::A);
        for _ in 0..20_000 {
            let mut packet = base.clone();
            for _ in 0..random.usize(1..4) {
                let at = random.usize(0..packet.len());
                packet[at] = random.u8(..);
            }
            packet.truncate(random.usize(0..=packet.len()));
            match parse(&packet) {
                Ok(query) => drop(respond(&packet, &query, Code::NoError, &[], true)),
                Err(Some(code)) => drop(refuse(&packet, code)),
                Err(None) => {}
            }
        }
    }

    #[test]
    fn reverse_names() {
        let v6 = "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa";
        assert_eq!(reverse(v6), Some("fd00::2".parse().unwrap()));
        for bad in [
            "in-addr.arpa",
            "1.2.3.in-addr.arpa",
            "1.2.3.4.5.in-addr.arpa",
            "300.1.1.1.in-addr.arpa",
            "2.0.ip6.arpa",
        ] {
            assert_eq!(reverse(bad), None, "{bad}");
        }
    }
}
