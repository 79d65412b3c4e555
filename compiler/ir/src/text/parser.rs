//! The parser: one statement after the other, each applied to the graph at once, so every error has a place.

use super::attributes::Attributes;
use super::dims::parse_dim;
use super::lexer::{Lexer, Position, Token};
use super::literal::{parse_f64, parse_unsigned, push_element, random, splat};
use super::{ParseError, ParseErrorKind};
use crate::graph::{Graph, NodeId, ValueId};
use crate::op::{Epilogue, Op, ScalarOp, Step, StepArg};
use crate::tensor::{ElementType, Tensor, TensorType, checked_product};
use bytes::Bytes;

mod blocks;

type Parsed<T> = Result<T, ParseError>;

/// Reads a graph. Results are inferred as they are read, so the graph is well typed.
pub fn parse(text: &str) -> Result<Graph, ParseError> {
    let mut parser = Parser { lexer: Lexer::new(text), graph: Graph::default() };
    while *parser.lexer.peek()? != Token::End {
        parser.statement()?;
    }
    Ok(parser.graph)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    graph: Graph,
}

/// A result's name and, where written, its type.
struct Target {
    position: Position,
    name: String,
    ty: Option<TensorType>,
}

impl Parser<'_> {
    fn statement(&mut self) -> Parsed<()> {
        let (position, token) = self.lexer.next()?;
        match token {
            Token::Word(word) => {
                match word.as_str() {
                    "graph" => {
                        self.graph.name = self.quoted()?;
                        Ok(())
                    }
                    "symbol" => self.symbol(),
                    "return" => self.outputs(position),
                    "state" => self.state(position),
                    _ => Err(position
                        .expected("`graph`, `symbol`, `return`, `state`, `%` or `@`", &Token::Word(word))),
                }
            }
            Token::Constant(name) => self.constant(position, name),
            Token::Value(name) => self.results(position, name),
            other => Err(position.expected("a statement", &other)),
        }
    }

    fn mark(&mut self, mark: char) -> Parsed<()> {
        match self.lexer.next()? {
            (_, Token::Mark(found)) if found == mark => Ok(()),
            (position, token) => Err(position.expected(format!("`{mark}`"), &token)),
        }
    }

    /// Takes a mark if it is next.
    fn accepts(&mut self, mark: char) -> Parsed<bool> {
        let found = *self.lexer.peek()? == Token::Mark(mark);
        if found {
            self.lexer.next()?;
        }
        Ok(found)
    }

    /// Takes a word if it is next.
    fn accepts_word(&mut self, word: &str) -> Parsed<bool> {
        let found = matches!(self.lexer.peek()?, Token::Word(found) if found == word);
        if found {
            self.lexer.next()?;
        }
        Ok(found)
    }

    fn quoted(&mut self) -> Parsed<String> {
        match self.lexer.next()? {
            (_, Token::Quoted(text)) => Ok(text),
            (position, token) => Err(position.expected("a quoted name", &token)),
        }
    }

    fn symbol(&mut self) -> Parsed<()> {
        let name = match self.lexer.next()? {
            (_, Token::Word(name) | Token::Quoted(name)) => name,
            (position, token) => return Err(position.expected("the name of a dim", &token)),
        };
        self.mark(':')?;
        let (position, low) = self.unsigned()?;
        self.mark('.')?;
        self.mark('.')?;
        let high = match self.lexer.peek()? {
            Token::Number(_) => Some(self.unsigned()?.1),
            _ => None,
        };
        let symbol = self.graph.symbols.intern(&name);
        let bounds = self.graph.symbols.set_bounds(symbol, low, high);
        bounds.map_err(|error| position.error(error))
    }

    fn unsigned(&mut self) -> Parsed<(Position, u64)> {
        let (position, token) = self.lexer.next()?;
        let Token::Number(text) = &token else {
            return Err(position.expected("a number", &token));
        };
        let value = parse_unsigned(text).map_err(|kind| position.error(kind))?;
        Ok((position, value))
    }

    fn outputs(&mut self, position: Position) -> Parsed<()> {
        let mut outputs = Vec::new();
        while matches!(self.lexer.peek()?, Token::Value(_) | Token::Constant(_)) {
            outputs.push(self.value()?);
            if !self.accepts(',')? {
                break;
            }
        }
        self.graph.set_outputs(&outputs).map_err(|error| position.error(error))
    }

    fn state(&mut self, position: Position) -> Parsed<()> {
        let input = self.value()?;
        self.mark('=')?;
        let output = self.value()?;
        self.graph.add_state(input, output).map_err(|error| position.error(error))
    }

    /// A value that is defined already.
    fn value(&mut self) -> Parsed<ValueId> {
        let (position, token) = self.lexer.next()?;
        let (Token::Value(name) | Token::Constant(name)) = &token else {
            return Err(position.expected("a value", &token));
        };
        let unknown = || position.error(ParseErrorKind::UnknownValue(name.clone()));
        let value = self.graph.value_by_name(name).ok_or_else(unknown)?;
        let is_constant = self.graph.constant(value).is_some();
        match (&token, is_constant) {
            (Token::Value(_), true) => {
                Err(position.expected(format!("`@{name}`, since it is a constant"), &token))
            }
            (Token::Constant(_), false) => {
                Err(position.expected(format!("`%{name}`, since it is no constant"), &token))
            }
            _ => Ok(value),
        }
    }

    fn element_type(&mut self) -> Parsed<TensorType> {
        let (position, token) = self.lexer.next()?;
        let element = match &token {
            Token::Word(word) => ElementType::from_name(word),
            _ => None,
        };
        let element = element.ok_or_else(|| position.expected("an element type", &token))?;
        self.mark('[')?;
        let mut shape = Vec::new();
        if !self.accepts(']')? {
            loop {
                shape.push(parse_dim(&mut self.lexer, &mut self.graph.symbols)?);
                if !self.accepts(',')? {
                    break;
                }
            }
            self.mark(']')?;
        }
        Ok(TensorType { element, shape })
    }

    fn constant(&mut self, position: Position, name: String) -> Parsed<()> {
        self.mark(':')?;
        let type_position = self.lexer.position()?;
        let ty = self.element_type()?;
        let Some(shape) = ty.static_shape() else {
            let found = Token::Word(ty.display(&self.graph.symbols).to_string());
            return Err(type_position.expected("a constant's sizes to be known", &found));
        };
        self.mark('=')?;
        let tensor = self.content(ty.element, &shape)?;
        let added = self.graph.add_constant(name, tensor);
        added.map(|_| ()).map_err(|error| position.error(error))
    }

    fn content(&mut self, element: ElementType, shape: &[u64]) -> Parsed<Tensor> {
        let position = self.lexer.position()?;
        let mut bytes = Vec::new();
        let made = if self.accepts('[')? {
            self.elements(element, &mut bytes)?;
            let actual = (bytes.len() / element.size_bytes()) as u64;
            match checked_product(shape) {
                Some(expected) if expected != actual => Err(ParseErrorKind::Length { expected, actual }),
                _ => Tensor::new(element, shape, Bytes::from(bytes)).map_err(ParseErrorKind::from),
            }
        } else if self.accepts_word("splat")? {
            self.mark('(')?;
            self.element(element, &mut bytes)?;
            self.mark(')')?;
            splat(element, shape, &bytes)
        } else if self.accepts_word("random")? {
            self.mark('(')?;
            let (_, seed) = self.unsigned()?;
            self.mark(')')?;
            random(element, shape, seed)
        } else if self.accepts_word("blocks")? {
            return self.blocks(element, shape, false);
        } else if self.accepts_word("turned_blocks")? {
            return self.blocks(element, shape, true);
        } else {
            self.element(element, &mut bytes)?;
            Tensor::new(element, shape, Bytes::from(bytes)).map_err(ParseErrorKind::from)
        };
        made.map_err(|kind| position.error(kind))
    }

    fn elements(&mut self, element: ElementType, bytes: &mut Vec<u8>) -> Parsed<()> {
        if self.accepts(']')? {
            return Ok(());
        }
        loop {
            self.element(element, bytes)?;
            if !self.accepts(',')? {
                return self.mark(']');
            }
        }
    }

    fn element(&mut self, element: ElementType, bytes: &mut Vec<u8>) -> Parsed<()> {
        let (position, text) = self.number()?;
        push_element(bytes, &text, element).map_err(|kind| position.error(kind))
    }

    /// A number with its sign, or a word such as `inf` or `true`.
    fn number(&mut self) -> Parsed<(Position, String)> {
        match self.lexer.next()? {
            (position, Token::Number(text) | Token::Word(text)) => Ok((position, text)),
            (position, Token::Mark('-')) => match self.lexer.next()? {
                (_, Token::Number(text) | Token::Word(text)) => Ok((position, format!("-{text}"))),
                (position, token) => Err(position.expected("a number", &token)),
            },
            (position, token) => Err(position.expected("a number", &token)),
        }
    }

    /// An input, or a node with its results.
    fn results(&mut self, position: Position, name: String) -> Parsed<()> {
        let mut targets = vec![self.target(position, name)?];
        while self.accepts(',')? {
            match self.lexer.next()? {
                (position, Token::Value(name)) => targets.push(self.target(position, name)?),
                (position, token) => return Err(position.expected("a result `%name`", &token)),
            }
        }
        if self.accepts('=')? {
            return self.node(targets);
        }
        match <[Target; 1]>::try_from(targets) {
            Ok([Target { position, name, ty: Some(ty) }]) => {
                let added = self.graph.add_input(name, ty);
                added.map(|_| ()).map_err(|error| position.error(error))
            }
            _ => {
                let (position, token) = self.lexer.next()?;
                Err(position.expected("`=`, or `:` and a type", &token))
            }
        }
    }

    fn target(&mut self, position: Position, name: String) -> Parsed<Target> {
        let ty = if self.accepts(':')? { Some(self.element_type()?) } else { None };
        Ok(Target { position, name, ty })
    }

    fn node(&mut self, targets: Vec<Target>) -> Parsed<()> {
        let (position, token) = self.lexer.next()?;
        let Token::Word(op_name) = token else {
            return Err(position.expected("an op", &token));
        };
        let mut inputs = Vec::new();
        while matches!(self.lexer.peek()?, Token::Value(_) | Token::Constant(_)) {
            inputs.push(self.value()?);
            if !self.accepts(',')? {
                break;
            }
        }
        let mut attributes = Attributes::parse(&mut self.lexer, &mut self.graph.symbols)?;
        let rank = inputs.first().map_or(0, |&input| self.graph.value(input).ty.rank());
        let op = attributes.op(&op_name, rank)?;
        let mut op = op.ok_or_else(|| position.error(ParseErrorKind::UnknownOp(op_name)))?;
        attributes.finish()?;
        if let Op::Attention(attention) = &mut op {
            let scores = self.steps("scores")?;
            attention.scores = scores.steps;
            inputs.extend(scores.operands);
        }
        let epilogue = self.steps("epilogue")?;
        let name = if self.accepts_word("as")? { self.quoted()? } else { targets[0].name.clone() };
        let origins = self.origins()?;
        let names = targets.iter().map(|target| target.name.clone());
        let added = self.graph.add_node(name, op, &inputs, names);
        let node = added.map_err(|error| position.error(error))?;
        let fused = self.graph.set_epilogue(node, epilogue);
        fused.map_err(|error| position.error(error))?;
        if let Some(origins) = origins {
            self.graph.set_origins(node, origins);
        }
        self.check_types(node, targets)
    }

    fn check_types(&self, node: NodeId, targets: Vec<Target>) -> Parsed<()> {
        for (target, &output) in targets.into_iter().zip(&self.graph.node(node).outputs) {
            let inferred = &self.graph.value(output).ty;
            if let Some(written) = target.ty.filter(|written| written != inferred) {
                return Err(target.position.error(ParseErrorKind::Type {
                    written: written.display(&self.graph.symbols).to_string(),
                    inferred: inferred.display(&self.graph.symbols).to_string(),
                }));
            }
        }
        Ok(())
    }

    fn origins(&mut self) -> Parsed<Option<Vec<String>>> {
        if !self.accepts_word("from")? {
            return Ok(None);
        }
        self.mark('[')?;
        let mut origins = Vec::new();
        while *self.lexer.peek()? != Token::Mark(']') {
            origins.push(self.quoted()?);
            if !self.accepts(',')? {
                break;
            }
        }
        self.mark(']')?;
        Ok(Some(origins))
    }

    /// Element-wise steps behind a word.
    fn steps(&mut self, word: &str) -> Parsed<Epilogue> {
        let mut epilogue = Epilogue::default();
        if !self.accepts_word(word)? {
            return Ok(epilogue);
        }
        if self.accepts('[')? {
            while *self.lexer.peek()? != Token::Mark(']') {
                epilogue.operands.push(self.value()?);
                if !self.accepts(',')? {
                    break;
                }
            }
            self.mark(']')?;
        }
        self.mark('(')?;
        // Operands may stand for themselves, such as the place of the first query.
        if self.accepts(')')? {
            return Ok(epilogue);
        }
        loop {
            let step = self.step(&mut epilogue)?;
            epilogue.steps.push(step);
            if !self.accepts(';')? {
                break;
            }
        }
        self.mark(')')?;
        Ok(epilogue)
    }

    fn step(&mut self, epilogue: &mut Epilogue) -> Parsed<Step> {
        let (position, token) = self.lexer.next()?;
        let Token::Word(name) = token else {
            return Err(position.expected("a scalar function", &token));
        };
        let mut args = Vec::new();
        if !matches!(self.lexer.peek()?, Token::Mark(';' | ')' | '{')) {
            loop {
                args.push(self.step_arg(epilogue)?);
                if !self.accepts(',')? {
                    break;
                }
            }
        }
        let mut attributes = Attributes::parse(&mut self.lexer, &mut self.graph.symbols)?;
        let op: ScalarOp =
            attributes.scalar_op(&name)?.ok_or_else(|| position.error(ParseErrorKind::UnknownOp(name)))?;
        attributes.finish()?;
        if args.len() + 1 == op.arity() {
            args.insert(0, epilogue.current());
        }
        Ok(Step { op, args })
    }

    fn step_arg(&mut self, epilogue: &mut Epilogue) -> Parsed<StepArg> {
        if matches!(self.lexer.peek()?, Token::Value(_) | Token::Constant(_)) {
            let value = self.value()?;
            return Ok(StepArg::Operand(epilogue.operand_index(value)));
        }
        let (position, text) = self.number()?;
        let numbered = |prefix: &str| text.strip_prefix(prefix).and_then(|number| number.parse::<u32>().ok());
        if text == "result" {
            Ok(StepArg::Result)
        } else if let Some(step) = numbered("step") {
            Ok(StepArg::Step(step))
        } else if let Some(operand) = numbered("operand") {
            Ok(StepArg::Operand(operand))
        } else {
            let value = parse_f64(&text).map_err(|kind| position.error(kind))?;
            Ok(StepArg::Const(value))
        }
    }
}
