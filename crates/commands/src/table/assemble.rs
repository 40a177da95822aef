//! Turns the families into two arrays at compile time: gives each row its id, group and categories, and
//! points each command at its subcommands.

use super::{COUNT, FAMILIES, ID_COUNT, SUBCOMMANDS};
use crate::{Categories, Command, CommandId, Group};

pub(super) const fn count_commands() -> usize {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        count += FAMILIES[family].1.len();
        family += 1;
    }
    count
}

pub(super) const fn count_subcommands() -> usize {
    let (mut count, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let (_, rows) = FAMILIES[family];
        let mut row = 0;
        while row < rows.len() {
            count += rows[row].subcommands.len();
            row += 1;
        }
        family += 1;
    }
    count
}

pub(super) const fn commands() -> [Command; COUNT] {
    let mut out = [FAMILIES[0].1[0]; COUNT];
    let (mut next, mut next_sub, mut family) = (0, 0, 0);
    while family < FAMILIES.len() {
        let (group, rows) = FAMILIES[family];
        let mut row = 0;
        while row < rows.len() {
            let length = rows[row].subcommands.len();
            out[next] = finish(rows[row], next, group);
            out[next].subcommands = SUBCOMMANDS.split_at(next_sub).1.split_at(length).0;
            next += 1;
            next_sub += length;
            row += 1;
        }
        family += 1;
    }
    out
}

pub(super) const fn subcommands() -> [Command; ID_COUNT - COUNT] {
    let mut out = [FAMILIES[0].1[0]; ID_COUNT - COUNT];
    let (mut next, mut family) = (0, 0);
    while family < FAMILIES.len() {
        let (group, rows) = FAMILIES[family];
        let mut row = 0;
        while row < rows.len() {
            let subs = rows[row].subcommands;
            let mut sub = 0;
            while sub < subs.len() {
                out[next] = finish(subs[sub], COUNT + next, group);
                next += 1;
                sub += 1;
            }
            row += 1;
        }
        family += 1;
    }
    out
}

const fn finish(mut command: Command, id: usize, group: Group) -> Command {
    assert!(id < u16::MAX as usize);
    command.id = CommandId(id as u16);
    command.group = group;
    let implied = Categories::implied(command.flags, group, !command.subcommands.is_empty());
    command.categories = command.categories.with(implied);
    command
}
