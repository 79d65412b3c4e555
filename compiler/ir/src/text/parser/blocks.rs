//! Constants in blocks: `blocks(bits=4, size=32, numbers=[..], scales=f16[..], zeros=8)`.

use super::{Parsed, Parser};
use crate::tensor::blocks::{Blocks, Parts, Zeros};
use crate::tensor::{ElementType, Tensor};
use crate::text::ParseErrorKind;
use crate::text::literal::{Seeded, random_blocks};
use bytes::Bytes;

impl Parser<'_> {
    /// What stands behind the word `blocks`.
    pub(super) fn blocks(&mut self, element: ElementType, shape: &[u64], turned: bool) -> Parsed<Tensor> {
        let position = self.lexer.position()?;
        let [rows, columns] = match (shape, turned) {
            (&[columns, rows], true) => [rows, columns],
            _ => {
                let (&columns, outer) = shape.split_last().unwrap_or((&1, &[]));
                [crate::tensor::checked_product(outer).unwrap_or(u64::MAX), columns]
            }
        };
        self.mark('(')?;
        let bits = u32::try_from(self.named("bits")?).unwrap_or(u32::MAX);
        self.mark(',')?;
        let size = self.named("size")?;
        self.mark(',')?;
        let made = if self.accepts_word("random")? {
            self.mark('=')?;
            let (_, seed) = self.unsigned()?;
            self.mark(',')?;
            self.key("scales")?;
            let scales = self.float_type()?;
            self.mark(',')?;
            self.key("zeros")?;
            let zeros = match self.accepts_word("numbers")? {
                true => Seeded::Numbers,
                false if self.accepts_word("f32")? => Seeded::Floats(ElementType::F32),
                false if self.accepts_word("f16")? => Seeded::Floats(ElementType::F16),
                false => Seeded::All(self.unsigned()?.1),
            };
            random_blocks((bits, size), [rows, columns], seed, (scales, zeros))
        } else {
            let parts = self.parts((bits, size), [rows, columns])?;
            Blocks::new(parts).map_err(ParseErrorKind::from)
        };
        self.mark(')')?;
        let made = made.and_then(|blocks| match turned {
            true if shape.len() == 2 => Ok(Tensor::from_turned_blocks(element, blocks)?),
            _ => Ok(Tensor::from_blocks(element, shape, blocks)?),
        });
        made.map_err(|kind| position.error(kind))
    }

    /// Numbers, scales and zero points as they are.
    fn parts(&mut self, (bits, size): (u32, u64), shape: [u64; 2]) -> Parsed<Parts> {
        self.key("numbers")?;
        let numbers = self.list(ElementType::U8)?;
        self.mark(',')?;
        self.key("scales")?;
        let scales = self.floats()?;
        self.mark(',')?;
        self.key("zeros")?;
        let zeros = if let Some(list) = self.list_of_bytes()? {
            Zeros::Numbers(list)
        } else if matches!(self.lexer.peek()?, super::Token::Word(_)) {
            Zeros::Floats(self.floats()?)
        } else {
            let (position, zero) = self.unsigned()?;
            let wrong =
                |_| position.expected("a zero point of a byte", &super::Token::Number(zero.to_string()));
            Zeros::All(u8::try_from(zero).map_err(wrong)?)
        };
        Ok(Parts { bits, size, shape, numbers, scales, zeros })
    }

    fn key(&mut self, name: &str) -> Parsed<()> {
        let (position, token) = self.lexer.next()?;
        if !matches!(&token, super::Token::Word(word) if word == name) {
            return Err(position.expected(format!("`{name}`"), &token));
        }
        self.mark('=')
    }

    fn named(&mut self, name: &str) -> Parsed<u64> {
        self.key(name)?;
        Ok(self.unsigned()?.1)
    }

    fn float_type(&mut self) -> Parsed<ElementType> {
        match self.lexer.next()? {
            (_, super::Token::Word(word)) if word == "f32" => Ok(ElementType::F32),
            (_, super::Token::Word(word)) if word == "f16" => Ok(ElementType::F16),
            (position, token) => Err(position.expected("`f32` or `f16`", &token)),
        }
    }

    fn floats(&mut self) -> Parsed<Tensor> {
        let element = self.float_type()?;
        let position = self.lexer.position()?;
        let bytes = self.list(element)?;
        let count = (bytes.len() / element.size_bytes()) as u64;
        Tensor::new(element, [count], bytes).map_err(|error| position.error(ParseErrorKind::from(error)))
    }

    fn list(&mut self, element: ElementType) -> Parsed<Bytes> {
        self.mark('[')?;
        let mut bytes = Vec::new();
        self.elements(element, &mut bytes)?;
        Ok(Bytes::from(bytes))
    }

    fn list_of_bytes(&mut self) -> Parsed<Option<Bytes>> {
        match self.lexer.peek()? {
            super::Token::Mark('[') => self.list(ElementType::U8).map(Some),
            _ => Ok(None),
        }
    }
}
