//! Reading templates.
use super::{Part, Template};
use crate::{
    diagnostic::{Diagnostic, Span},
    eval::check_arguments,
    field::{FieldError, FieldRef},
    syntax::{Operand, ast, parse_operand_at},
};

/// Falco's code for an output that does not compile.
const CODE: &str = "LOAD_ERR_COMPILE_OUTPUT";
/// Longest template in bytes.
const MAX_TEXT: usize = 1 << 16;

/// Falco's placeholder for what is known of the container, no field; many rules end with it.
const INFO: &str = "container.info";
/// What it stands for.
const INFO_TEXT: &str = "container_id=%container.id container_name=%container.name container_image_repository=\
    %container.image.repository container_image_tag=%container.image.tag k8s_ns_name=%k8s.ns.name \
    k8s_pod_name=%k8s.pod.name";

/// Whether a name ends before this; a full stop may follow it.
fn ends_name(rest: &str) -> bool {
    let goes_on = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !rest.starts_with(goes_on) && !rest.strip_prefix('.').is_some_and(|rest| rest.starts_with(goes_on))
}

type Result<T> = std::result::Result<T, Box<Diagnostic>>;

pub fn template(text: &str) -> Result<Template> {
    let mut template = Template { parts: Vec::new(), fields: Vec::new() };
    if text.len() > MAX_TEXT {
        let message = format!("an output of {} bytes is longer than {MAX_TEXT}", text.len());
        return Err(problem(text, Span::default(), message, None));
    }
    let mut literal = String::new();
    let mut at = 0;
    while let Some(found) = text[at..].find('%') {
        literal.push_str(&text[at..at + found]);
        let percent = at + found;
        at = percent + 1;
        if text[at..].starts_with('%') {
            literal.push('%');
            at += 1;
            continue;
        }
        if let Some(rest) = text[at..].strip_prefix(INFO).filter(|rest| ends_name(rest)) {
            let info = self::template(INFO_TEXT)?;
            template.parts.extend(Some(std::mem::take(&mut literal)).filter(|l| !l.is_empty()).map(Part::Text));
            template.parts.extend(info.parts);
            for (name, operand) in info.fields {
                add_fields(&mut template.fields, &name, &operand);
            }
            at = text.len() - rest.len();
            continue;
        }
        let (operand, end) = operand(text, percent)?;
        if !literal.is_empty() {
            template.parts.push(Part::Text(std::mem::take(&mut literal)));
        }
        add_fields(&mut template.fields, &text[at..end], &operand);
        template.parts.push(Part::Value(operand));
        at = end;
    }
    literal.push_str(&text[at..]);
    if !literal.is_empty() {
        template.parts.push(Part::Text(literal));
    }
    Ok(template)
}

/// The operand behind a percent sign, and where it ends.
fn operand(text: &str, percent: usize) -> Result<(Operand, usize)> {
    let start = percent + 1;
    let rest = &text.as_bytes()[start..];
    let name = rest.iter().take_while(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.')).count();
    if name == 0 {
        let span = span(percent, start);
        return Err(problem(text, span, "no field follows the percent sign", Some("write %% for a percent sign")));
    }
    // A full stop behind a field ends the sentence.
    let dots = rest[..name].iter().rev().take_while(|b| **b == b'.').count();
    let plain = name - dots;
    let call = rest.get(name) == Some(&b'(') && !rest[..name].contains(&b'.');
    let bracketed = dots == 0 && (call || rest.get(name) == Some(&b'['));
    if bracketed {
        let (parsed, end) = parse_operand_at(text, start).map_err(|mut error| {
            CODE.clone_into(&mut error.code);
            "output".clone_into(&mut error.part);
            error
        })?;
        return Ok((resolve(text, &parsed)?, end));
    }
    let end = start + plain;
    Ok((Operand::Field(field(text, &text[start..end], span(start, end))?), end))
}

fn resolve(text: &str, operand: &ast::Operand) -> Result<Operand> {
    let all = |items: &[ast::Operand]| items.iter().map(|item| resolve(text, item)).collect::<Result<Vec<_>>>();
    Ok(match operand {
        ast::Operand::Field(name) => Operand::Field(field(text, &name.value, name.span)?),
        ast::Operand::Text(literal) => Operand::Text(literal.value.text.clone()),
        ast::Operand::List(items, _) => Operand::List(all(items)?),
        ast::Operand::Call { function, args, selector, span } => {
            let args = all(args)?;
            check_arguments(*function, &args).map_err(|message| problem(text, *span, message, None))?;
            Operand::Call { function: *function, args, selector: selector.clone() }
        }
    })
}

fn field(text: &str, name: &str, span: Span) -> Result<FieldRef> {
    FieldRef::parse(name).map_err(|error: FieldError| {
        let suggestion = error.suggestion();
        problem(text, span, error.to_string(), suggestion.as_deref())
    })
}

/// The field as written, and each field inside it.
fn add_fields(fields: &mut Vec<(String, Operand)>, written: &str, operand: &Operand) {
    let mut add = |name: String, operand: Operand| {
        if fields.iter().all(|(known, _)| *known != name) {
            fields.push((name, operand));
        }
    };
    add(written.to_owned(), operand.clone());
    if !matches!(operand, Operand::Field(_)) {
        operand.fields(&mut |field| add(field.to_string(), Operand::Field(field.clone())));
    }
}

fn span(start: usize, end: usize) -> Span {
    let to_u32 = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
    Span { start: to_u32(start), end: to_u32(end) }
}

fn problem(text: &str, span: Span, message: impl Into<String>, suggestion: Option<&str>) -> Box<Diagnostic> {
    Box::new(Diagnostic {
        severity: crate::diagnostic::Severity::Error,
        code: CODE.to_owned(),
        part: "output".to_owned(),
        message: message.into(),
        suggestion: suggestion.map(str::to_owned),
        text: text.to_owned(),
        span,
    })
}
