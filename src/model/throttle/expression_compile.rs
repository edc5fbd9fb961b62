//! Compiles what the CEL parser makes of an expression into tests, and refuses what cannot be evaluated in bounds.

use cel::common::ast::{CallExpr, Expr, LiteralValue, SelectExpr, operators};
use cel::parser::{Expression, Parser};
use http::HeaderName;

use super::condition::{BadCondition, CONDITION_NAME_CHARS_MAX, compile_pattern};
use super::expression::{
    BadExpression, Comparison, EXPRESSION_CHARS_MAX, EXPRESSION_PARTS_MAX, Entry, Test, Text, Variable,
};

/// How deep an expression may be nested.
const DEPTH_MAX: u16 = 24;

pub(super) fn compile(text: &str) -> Result<Test, BadExpression> {
    if text.chars().count() > EXPRESSION_CHARS_MAX {
        return Err(BadExpression::TooLong);
    }
    let parsed = Parser::new().max_recursion_depth(DEPTH_MAX).parse(text);
    let expression = parsed.map_err(|errors| {
        let first = errors.errors.first();
        let (line, column) = first.map_or((1, 0), |error| error.pos);
        let what = first.map_or("it cannot be read", |error| error.msg.as_str());
        BadExpression::Syntax(format!("line {line}, column {column}: {}", what.lines().next().unwrap_or_default()))
    })?;
    let mut compiler = Compiler { parts: 0 };
    compiler.test(&expression, "the expression")
}

struct Compiler {
    parts: usize,
}

impl Compiler {
    fn count(&mut self) -> Result<(), BadExpression> {
        self.parts += 1;
        if self.parts > EXPRESSION_PARTS_MAX { Err(BadExpression::TooLong) } else { Ok(()) }
    }

    /// Compiles something that must be true or false.
    fn test(&mut self, from: &Expression, place: &str) -> Result<Test, BadExpression> {
        self.count()?;
        match &from.expr {
            Expr::Literal(LiteralValue::Boolean(value)) => Ok(Test::Constant(*value.inner())),
            Expr::Call(call) => self.call(call, place),
            Expr::Select(SelectExpr { operand, field, test: true }) => entry(operand, field).map(Test::Present),
            Expr::Comprehension(_) => Err(not_available("a loop (all, exists, map, filter)")),
            Expr::Ident(name) if Variable::named(name).is_none() && !is_map(name) => {
                Err(BadExpression::UnknownName(name.clone()))
            }
            _ => Err(BadExpression::Type { place: place.to_owned(), wanted: "true or false" }),
        }
    }

    fn call(&mut self, call: &CallExpr, place: &str) -> Result<Test, BadExpression> {
        let name = call.func_name.as_str();
        match (name, call.target.as_deref(), call.args.as_slice()) {
            (operators::LOGICAL_NOT, None, [one]) => Ok(Test::Not(Box::new(self.test(one, "what ! negates")?))),
            (operators::LOGICAL_AND, None, all) => Ok(Test::All(self.tests(all, "each side of &&")?)),
            (operators::LOGICAL_OR, None, any) => Ok(Test::Any(self.tests(any, "each side of ||")?)),
            (operators::CONDITIONAL, None, [condition, then, otherwise]) => Ok(Test::If(Box::new([
                self.test(condition, "the condition before ?")?,
                self.test(then, "what follows ?")?,
                self.test(otherwise, "what follows :")?,
            ]))),
            (operators::EQUALS, None, [left, right]) => self.equal(left, right),
            (operators::NOT_EQUALS, None, [left, right]) => Ok(Test::Not(Box::new(self.equal(left, right)?))),
            (operators::IN, None, [one, list]) => self.is_in(one, list),
            (operators::LESS, None, [left, right]) => self.size(left, Comparison::Less, right),
            (operators::LESS_EQUALS, None, [left, right]) => self.size(left, Comparison::LessOrEqual, right),
            (operators::GREATER, None, [left, right]) => self.size(left, Comparison::Greater, right),
            (operators::GREATER_EQUALS, None, [left, right]) => self.size(left, Comparison::GreaterOrEqual, right),
            ("startsWith", Some(text), [start]) => Ok(Test::StartsWith(self.text(text)?, self.text(start)?)),
            ("endsWith", Some(text), [end]) => Ok(Test::EndsWith(self.text(text)?, self.text(end)?)),
            ("contains", Some(text), [part]) => Ok(Test::Contains(self.text(text)?, self.text(part)?)),
            ("matches", Some(text), [pattern]) | ("matches", None, [text, pattern]) => {
                let pattern = compile_pattern(constant(pattern, "a pattern")?)?;
                Ok(Test::Matches(self.text(text)?, pattern))
            }
            ("size" | "lowerAscii", ..) => {
                Err(BadExpression::Type { place: place.to_owned(), wanted: "true or false" })
            }
            _ => Err(not_available(&format!("`{}`", plain(name)))),
        }
    }

    fn tests(&mut self, from: &[Expression], place: &str) -> Result<Box<[Test]>, BadExpression> {
        from.iter().map(|one| self.test(one, place)).collect()
    }

    fn equal(&mut self, left: &Expression, right: &Expression) -> Result<Test, BadExpression> {
        if is_size(left) {
            return self.size(left, Comparison::Equal, right);
        }
        if let Expr::Literal(LiteralValue::Boolean(value)) = &right.expr {
            let test = self.test(left, "what is compared with true or false")?;
            return Ok(if *value.inner() { test } else { Test::Not(Box::new(test)) });
        }
        Ok(Test::Equal(self.text(left)?, self.text(right)?))
    }

    fn is_in(&mut self, one: &Expression, list: &Expression) -> Result<Test, BadExpression> {
        match &list.expr {
            Expr::List(list) => {
                let texts = list.elements.iter().map(|element| {
                    self.count()?;
                    constant(element, "each text of a list").map(Box::from)
                });
                let texts: Result<Box<[Box<str>]>, _> = texts.collect();
                let texts = texts?;
                Ok(Test::OneOf(self.text(one)?, texts))
            }
            Expr::Ident(_) => entry(list, constant(one, "the name before `in`")?).map(Test::Present),
            _ => {
                Err(BadExpression::Type { place: "what follows `in`".to_owned(), wanted: "a list of texts, or a map" })
            }
        }
    }

    fn size(&mut self, text: &Expression, how: Comparison, size: &Expression) -> Result<Test, BadExpression> {
        let measured = match &text.expr {
            Expr::Call(CallExpr { func_name, target: Some(text), args }) if func_name == "size" && args.is_empty() => {
                text.as_ref()
            }
            Expr::Call(CallExpr { func_name, target: None, args }) if func_name == "size" && args.len() == 1 => {
                &args[0]
            }
            _ => return Err(not_available("a comparison of anything but size(…) with a number")),
        };
        let size = match &size.expr {
            Expr::Literal(LiteralValue::Int(number)) => u64::try_from(*number.inner()).ok(),
            _ => None,
        };
        let wanted = "a whole number, 0 or more";
        let size =
            size.ok_or_else(|| BadExpression::Type { place: "what a size is compared with".to_owned(), wanted })?;
        Ok(Test::Size(self.text(measured)?, how, size))
    }

    /// Compiles something that must be a text.
    fn text(&mut self, from: &Expression) -> Result<Text, BadExpression> {
        self.count()?;
        match &from.expr {
            Expr::Literal(LiteralValue::String(text)) => Ok(Text::Constant(text.inner().into())),
            Expr::Ident(name) => match Variable::named(name) {
                Some(variable) => Ok(Text::Variable(variable)),
                None if is_map(name) => {
                    Err(BadExpression::Type { place: format!("`{name}`"), wanted: "followed by [\"NAME\"]" })
                }
                None => Err(BadExpression::UnknownName(name.clone())),
            },
            Expr::Select(SelectExpr { operand, field, test: false }) => entry(operand, field).map(Text::Entry),
            Expr::Call(CallExpr { func_name, target: None, args })
                if func_name == operators::INDEX && args.len() == 2 =>
            {
                entry(&args[0], constant(&args[1], "a name between [ and ]")?).map(Text::Entry)
            }
            Expr::Call(CallExpr { func_name, target: Some(text), args })
                if func_name == "lowerAscii" && args.is_empty() =>
            {
                Ok(Text::Lower(Box::new(self.text(text)?)))
            }
            Expr::Call(call) => Err(not_available(&format!("`{}` as a text", plain(&call.func_name)))),
            _ => Err(BadExpression::Type { place: "what is compared".to_owned(), wanted: "a text" }),
        }
    }
}

fn is_map(name: &str) -> bool {
    matches!(name, "headers" | "query" | "claims")
}

fn is_size(from: &Expression) -> bool {
    matches!(&from.expr, Expr::Call(call) if call.func_name == "size")
}

/// Returns the entry of a map: `headers.accept`, `claims["https://example.com/plan"]`.
fn entry(map: &Expression, name: &str) -> Result<Entry, BadExpression> {
    if !(1..=CONDITION_NAME_CHARS_MAX).contains(&name.chars().count()) {
        return Err(BadCondition::Name.into());
    }
    match &map.expr {
        Expr::Ident(map) if map == "headers" => {
            let header = HeaderName::try_from(name).map_err(|_| BadCondition::HeaderName(name.to_owned()))?;
            Ok(Entry::Header(header))
        }
        Expr::Ident(map) if map == "query" => Ok(Entry::Query(name.into())),
        Expr::Ident(map) if map == "claims" => Ok(Entry::Claim(name.into())),
        Expr::Ident(other) => Err(BadExpression::UnknownName(other.clone())),
        _ => Err(not_available("an entry of anything but headers, query and claims")),
    }
}

fn constant<'a>(from: &'a Expression, place: &str) -> Result<&'a str, BadExpression> {
    match &from.expr {
        Expr::Literal(LiteralValue::String(text)) => Ok(text.inner()),
        _ => Err(BadExpression::Type { place: place.to_owned(), wanted: "a text in quotes" }),
    }
}

fn not_available(what: &str) -> BadExpression {
    BadExpression::NotAvailable(what.to_owned())
}

/// Returns an operator as it is written: `_+_` is `+`.
fn plain(name: &str) -> &str {
    name.trim_matches('_')
}
