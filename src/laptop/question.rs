//! A question to a name server, as small as there is one (RFC 1035, section 4). What it answers does not matter.

const HEADER: usize = 12;
/// QR, the first bit of the flags.
const IS_ANSWER: u8 = 0x80;
const RECURSION_DESIRED: u8 = 0x01;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;

/// Asks for an address of `domain`, whose labels are short enough for DNS.
pub(super) fn of(domain: &str, number: u16) -> Vec<u8> {
    let mut question = vec![0; HEADER];
    question[..2].copy_from_slice(&number.to_be_bytes());
    question[2] = RECURSION_DESIRED;
    question[5] = 1;
    for label in domain.split('.') {
        let length = u8::try_from(label.len()).expect("a label has 63 bytes at most");
        question.push(length);
        question.extend(label.as_bytes());
    }
    question.push(0);
    question.extend(TYPE_A.to_be_bytes());
    question.extend(CLASS_IN.to_be_bytes());
    question
}

pub(super) fn is_answered_by(question: &[u8], answer: &[u8]) -> bool {
    answer.len() >= HEADER && answer[..2] == question[..2] && answer[2] & IS_ANSWER != 0
}

#[cfg(test)]
mod tests {
    use kontena_names::Query;

    use super::*;

    #[test]
    fn a_name_server_reads_it() {
        let question = of("kontena.local", 7);
        assert!(Query::read(&question).is_ok());
    }

    #[test]
    fn only_an_answer_of_its_number_is_one() {
        let question = of("kontena.local", 7);
        assert!(!is_answered_by(&question, &question), "its own echo");
        let mut answer = question.clone();
        answer[2] |= IS_ANSWER;
        assert!(is_answered_by(&question, &answer));
        assert!(!is_answered_by(&of("kontena.local", 8), &answer));
        assert!(!is_answered_by(&question, &answer[..11]));
        assert!(!is_answered_by(&question, b""));
    }
}
