//! The join token: what a person carries from the grid to a new node.
//!
//! `kontena-1-GRID-SECRET`: it pins the grid's key, so that the new node knows whom it joins, and
//! carries the seed of a signing key. Only its public half ([`TokenId`]) is in the documents, and
//! only a signature of it is sent; so neither a replica nor a listener can admit anybody. A checksum
//! tells a mistyped token from a revoked one.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use sha2::{Digest, Sha256};

use crate::id::{GridId, NodeId, TokenId};
use crate::identity::{Context, Seal, SecretKey, verify};

const PREFIX: &str = "kontena";
const VERSION: &str = "1";
const CHECKSUM_BYTES: usize = 4;

/// The longest text that is looked at; a token has 121 characters.
const MAX_TEXT: usize = 256;

/// A join token with its secret. Only [`Token::reveal`] shows it.
#[derive(Clone)]
pub struct Token {
    grid: GridId,
    key: SecretKey,
}

/// Why a text is no join token. It never repeats the text, which may be a secret with one typo.
#[derive(Clone, Copy, Debug, thiserror::Error, PartialEq, Eq)]
pub enum InvalidToken {
    #[error("a join token looks like `kontena-1-…-…`, as `kontena init` prints it")]
    Form,
    #[error("the join token was made for another version of kontena")]
    Version,
    #[error("the join token is mistyped or cut off: its checksum does not match")]
    Checksum,
}

impl Token {
    /// The token of `grid` made from 32 fresh random bytes.
    pub fn new(grid: GridId, seed: [u8; 32]) -> Self {
        Self {
            grid,
            key: SecretKey::from_seed(seed),
        }
    }

    pub fn grid(&self) -> GridId {
        self.grid
    }

    pub fn id(&self) -> TokenId {
        TokenId(self.key.public())
    }

    /// Proves to a sponsor that `node` has this token; useless to any other node or grid.
    pub fn prove(&self, node: NodeId) -> Seal {
        self.key
            .sign(Context::JoinProof, &proved_bytes(self.grid, node))
    }

    /// The text for the person who asked for it. Whoever reads it can join the grid.
    pub fn reveal(&self) -> String {
        let seed = self.key.seed();
        let grid = alphabet().encode(self.grid.as_bytes());
        let secret = [seed.as_slice(), &checksum(self.grid, &seed)].concat();
        format!("{PREFIX}-{VERSION}-{grid}-{}", alphabet().encode(&secret))
    }
}

/// Whether the owner of `token` asks to admit `node` into `grid`.
pub fn proof_is_valid(grid: GridId, node: NodeId, token: TokenId, proof: &Seal) -> bool {
    let bytes = proved_bytes(grid, node);
    verify(token.as_bytes(), Context::JoinProof, &bytes, proof)
}

fn proved_bytes(grid: GridId, node: NodeId) -> Vec<u8> {
    [grid.as_bytes().as_slice(), node.as_bytes()].concat()
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(raw: &str) -> Result<Self, InvalidToken> {
        let raw = raw.trim();
        if raw.len() > MAX_TEXT {
            return Err(InvalidToken::Form);
        }
        let parts: Vec<&str> = raw.split('-').collect();
        match parts.as_slice() {
            [prefix, VERSION, grid, secret] if prefix.eq_ignore_ascii_case(PREFIX) => {
                read(grid, secret).ok_or(InvalidToken::Checksum)
            }
            [prefix, VERSION, ..] if prefix.eq_ignore_ascii_case(PREFIX) => {
                Err(InvalidToken::Checksum)
            }
            [prefix, _, _, ..] if prefix.eq_ignore_ascii_case(PREFIX) => Err(InvalidToken::Version),
            _ => Err(InvalidToken::Form),
        }
    }
}

fn read(grid: &str, secret: &str) -> Option<Token> {
    let grid = alphabet().decode(grid.as_bytes()).ok()?;
    let grid = GridId(grid.try_into().ok()?);
    let secret = alphabet().decode(secret.as_bytes()).ok()?;
    let (seed, sum) = secret.split_at_checked(32)?;
    let seed: [u8; 32] = seed.try_into().ok()?;
    (sum == checksum(grid, &seed)).then(|| Token::new(grid, seed))
}

/// Covers the grid's key too: a typo in it must not look like another grid.
fn checksum(grid: GridId, seed: &[u8; 32]) -> [u8; CHECKSUM_BYTES] {
    let digest = Sha256::new()
        .chain_update(b"kontena/token-checksum/1\0")
        .chain_update(grid.as_bytes())
        .chain_update(seed)
        .finalize();
    [digest[0], digest[1], digest[2], digest[3]]
}

/// Crockford's base 32 in lower case: no `i`, `l`, `o`, `u`; what looks alike reads alike.
fn alphabet() -> Encoding {
    let mut specification = Specification::new();
    specification.symbols = "0123456789abcdefghjkmnpqrstvwxyz".to_owned();
    specification.translate.from = "ABCDEFGHJKMNPQRSTVWXYZiIlLoO".to_owned();
    specification.translate.to = "abcdefghjkmnpqrstvwxyz111100".to_owned();
    specification
        .encoding()
        .expect("32 distinct symbols, each translated once")
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:?} of grid {:?})", self.id(), self.grid)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> Token {
        Token::new(GridId([3; 32]), [9; 32])
    }

    #[test]
    fn a_token_is_read_as_it_is_written() {
        let text = token().reveal();
        assert_eq!(text.len(), 121, "{text}");
        for written in [text.clone(), text.to_uppercase(), format!(" {text}\n")] {
            let read: Token = written.parse().unwrap();
            assert_eq!(read.reveal(), text);
            assert_eq!((read.grid(), read.id()), (token().grid(), token().id()));
        }
    }

    #[test]
    fn a_mistyped_token_is_told_from_what_is_no_token() {
        let text = token().reveal();
        let check = |raw: &str, problem| assert_eq!(raw.parse::<Token>().unwrap_err(), problem);
        check(&text[..text.len() - 1], InvalidToken::Checksum);
        check(&text[..40], InvalidToken::Checksum);
        check(&format!("{text}0"), InvalidToken::Checksum);
        check(&text.replacen("-1-", "-2-", 1), InvalidToken::Version);
        check("", InvalidToken::Form);
        check("kontena", InvalidToken::Form);
        check("SWMTKN-1-abc-def", InvalidToken::Form);
        check(&"x".repeat(10_000), InvalidToken::Form);
    }

    #[test]
    fn debugging_does_not_show_the_secret() {
        let secret = token().reveal();
        let secret = secret.rsplit('-').next().unwrap();
        let shown = format!("{:?}", token());
        assert!(
            !shown.contains(secret) && !shown.contains("0909"),
            "{shown}"
        );
    }

    #[test]
    fn a_proof_holds_for_one_node_one_grid_and_one_token() {
        let (node, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let proof = token().prove(node);
        let id = token().id();
        assert!(proof_is_valid(token().grid(), node, id, &proof));
        assert!(!proof_is_valid(token().grid(), other, id, &proof));
        assert!(!proof_is_valid(GridId([4; 32]), node, id, &proof));
        let stranger = Token::new(token().grid(), [8; 32]).id();
        assert!(!proof_is_valid(token().grid(), node, stranger, &proof));
    }

    proptest! {
        #[test]
        fn one_wrong_character_is_noticed(place in 10_usize..121, with in "[0-9a-hjkmnp-tv-z]") {
            let text = token().reveal();
            prop_assume!(!text[place..].starts_with('-') && !text[place..].starts_with(&with));
            let mut wrong = text;
            wrong.replace_range(place..=place, &with);
            prop_assert_eq!(wrong.parse::<Token>().unwrap_err(), InvalidToken::Checksum);
        }

        #[test]
        fn no_text_breaks_the_reader(text in ".*") {
            let _ = text.parse::<Token>().is_ok();
        }
    }
}
