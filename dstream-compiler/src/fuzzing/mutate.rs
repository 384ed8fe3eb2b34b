//! Mutates programs, token by token, in the same sequence on every machine.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

/// Pseudo-random numbers (xorshift64*).
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below a bound, which must not be 0.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        (self.next() >> 11) as usize % bound
    }

    pub(super) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

/// Tokens that are rare in programs.
const ODD: &str = r##"
    'static r#type 0 99999999999999999999 1e999 "" "0s" "99999999999999999999h" "1.5s" r#"x"# b"x" 'x'
    self Self super crate :: -> => ..= ... # ! $ ? @ _ & && | || < >> = == ; , . : async unsafe const
    dyn move mut ref impl where for loop match if else return break await try yield macro_rules
    source window text json print save reduce_by_key running_reduce join union top_k count
    () {} [] (,) |x| || (a, b) <T> #[x] #[dstream::job] { let x = y; }
"##;

/// The tokens of programs at all depths, to insert into others.
pub(super) fn pool(programs: &[TokenStream]) -> Vec<TokenTree> {
    let odd: TokenStream = ODD.parse().expect("these are tokens");
    let mut pool: Vec<TokenTree> = odd.clone().into_iter().collect();
    for program in programs.iter().chain([&odd]) {
        gather(program.clone(), &mut pool);
    }
    pool
}

fn gather(tokens: TokenStream, pool: &mut Vec<TokenTree>) {
    for token in tokens {
        if let TokenTree::Group(group) = &token {
            gather(group.stream(), pool);
        }
        pool.push(token);
    }
}

/// Makes one change somewhere.
pub(super) fn change(chance: &mut Chance, tokens: TokenStream, pool: &[TokenTree]) -> TokenStream {
    let mut tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let groups: Vec<usize> =
        (0..tokens.len()).filter(|at| matches!(tokens[*at], TokenTree::Group(_))).collect();
    if !groups.is_empty() && chance.below(4) > 0 {
        let at = *chance.pick(&groups);
        if let TokenTree::Group(group) = &tokens[at] {
            tokens[at] = inside(chance, group, pool);
        }
    } else {
        here(chance, &mut tokens, pool);
    }
    tokens.into_iter().collect()
}

/// Changes the content of a group or, now and then, the group itself.
fn inside(chance: &mut Chance, group: &Group, pool: &[TokenTree]) -> TokenTree {
    let delimiters =
        [Delimiter::Parenthesis, Delimiter::Brace, Delimiter::Bracket, Delimiter::None];
    let changed = match chance.below(12) {
        0 => Group::new(*chance.pick(&delimiters), group.stream()),
        1 => Group::new(Delimiter::None, TokenTree::Group(group.clone()).into()),
        _ => Group::new(group.delimiter(), change(chance, group.stream(), pool)),
    };
    TokenTree::Group(changed)
}

fn here(chance: &mut Chance, tokens: &mut Vec<TokenTree>, pool: &[TokenTree]) {
    let at = chance.below(tokens.len() + 1);
    let end = (at + chance.below(4)).min(tokens.len());
    match chance.below(6) {
        0 => drop(tokens.drain(at..end)),
        1 => {
            let copy = tokens[at..end].to_vec();
            let to = chance.below(tokens.len() + 1);
            drop(tokens.splice(to..to, copy));
        }
        2 if end > at => {
            let other = chance.below(tokens.len());
            tokens.swap(at, other);
        }
        3 if end > at => tokens[at] = chance.pick(pool).clone(),
        4 => tokens.truncate(at),
        _ => {
            let from = chance.below(pool.len());
            let some = &pool[from..(from + 1 + chance.below(3)).min(pool.len())];
            drop(tokens.splice(at..at, some.iter().cloned()));
        }
    }
}
