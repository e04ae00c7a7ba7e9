//! How conditions are stored: the nodes in post-order, operators with the number of their operands.
//!
//! A nested form of a tree 1000 deep would need a parser that recurses as deep; this one needs none, and the bounds are
//! checked while the tree is built.
use super::expr::{Comparison, Expr, MAX_DEPTH, MAX_NODES, Operand};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error as _, SeqAccess, Visitor},
    ser::SerializeSeq as _,
};
use std::fmt;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Node<O, C> {
    And(usize),
    Or(usize),
    Not,
    Exists(O),
    Compare(C),
}

impl Serialize for Expr {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut nodes = Vec::new();
        flatten(self, &mut nodes);
        let mut seq = serializer.serialize_seq(Some(nodes.len()))?;
        for node in &nodes {
            seq.serialize_element(node)?;
        }
        seq.end()
    }
}

fn flatten<'a>(expr: &'a Expr, out: &mut Vec<Node<&'a Operand, &'a Comparison>>) {
    match expr {
        Expr::And(parts) => {
            parts.iter().for_each(|p| flatten(p, out));
            out.push(Node::And(parts.len()));
        }
        Expr::Or(parts) => {
            parts.iter().for_each(|p| flatten(p, out));
            out.push(Node::Or(parts.len()));
        }
        Expr::Not(inner) => {
            flatten(inner, out);
            out.push(Node::Not);
        }
        Expr::Exists(operand) => out.push(Node::Exists(operand)),
        Expr::Compare(comparison) => out.push(Node::Compare(comparison)),
    }
}

impl<'de> Deserialize<'de> for Expr {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Builder)
    }
}

struct Builder;

impl<'de> Visitor<'de> for Builder {
    type Value = Expr;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the nodes of a condition in post-order")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Expr, A::Error> {
        // Each entry: a finished subtree and its depth.
        let mut stack: Vec<(Expr, usize)> = Vec::new();
        let mut count = 0_usize;
        while let Some(node) = seq.next_element::<Node<Operand, Box<Comparison>>>()? {
            count += 1;
            if count > MAX_NODES {
                return Err(A::Error::custom(format!("a condition of more than {MAX_NODES} nodes")));
            }
            let entry = match node {
                Node::Exists(operand) => (Expr::Exists(operand), 1),
                Node::Compare(comparison) => (Expr::Compare(comparison), 1),
                Node::Not => {
                    let (inner, depth) = stack.pop().ok_or_else(|| A::Error::custom("`not` without operand"))?;
                    (inner.negate(), depth + 1)
                }
                Node::And(n) => {
                    let (parts, depth) = pop(&mut stack, n).ok_or_else(|| A::Error::custom("malformed `and`"))?;
                    (Expr::And(parts), depth)
                }
                Node::Or(n) => {
                    let (parts, depth) = pop(&mut stack, n).ok_or_else(|| A::Error::custom("malformed `or`"))?;
                    (Expr::Or(parts), depth)
                }
            };
            if entry.1 > MAX_DEPTH {
                return Err(A::Error::custom(format!("a condition nested deeper than {MAX_DEPTH}")));
            }
            stack.push(entry);
        }
        match (stack.pop(), stack.is_empty()) {
            (Some((expr, _)), true) => Ok(expr),
            _ => Err(A::Error::custom("not one whole condition")),
        }
    }
}

fn pop(stack: &mut Vec<(Expr, usize)>, n: usize) -> Option<(Vec<Expr>, usize)> {
    let at = stack.len().checked_sub(n).filter(|_| n >= 2)?;
    let depth = stack[at..].iter().map(|(_, d)| *d).max()? + 1;
    Some((stack.drain(at..).map(|(e, _)| e).collect(), depth))
}
