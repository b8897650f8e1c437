//! Which launches must run before which.

/// The number of a group.
pub(super) type GroupId = usize;

/// Dependences between groups, which have no cycle. Every group has a level above those of all that must run before it,
/// so that a search for one group may leave out all that are not above it.
#[derive(Clone, Debug, Default)]
pub(super) struct Dependences {
    before: Vec<Vec<GroupId>>,
    after: Vec<Vec<GroupId>>,
    levels: Vec<usize>,
}

impl Dependences {
    /// One more group, which nothing must precede.
    pub fn push(&mut self) {
        self.before.push(Vec::new());
        self.after.push(Vec::new());
        self.levels.push(0);
    }

    /// The groups that must run before this one.
    pub fn before(&self, group: GroupId) -> &[GroupId] {
        &self.before[group]
    }

    /// The groups that must run after this one.
    pub fn after(&self, group: GroupId) -> &[GroupId] {
        &self.after[group]
    }

    /// From now on the first group runs before the second.
    pub fn add(&mut self, earlier: GroupId, later: GroupId) {
        if self.before[later].contains(&earlier) {
            return;
        }
        self.before[later].push(earlier);
        self.after[earlier].push(later);
        let mut open = vec![(later, self.levels[earlier] + 1)];
        while let Some((group, level)) = open.pop() {
            if self.levels[group] < level {
                self.levels[group] = level;
                open.extend(self.after[group].iter().map(|&next| (next, level + 1)));
            }
        }
    }

    /// Whether a group is one of these, or must run before one of them.
    pub fn leads_to(&self, earlier: GroupId, mut open: Vec<GroupId>) -> bool {
        let mut seen = std::collections::HashSet::new();
        while let Some(group) = open.pop() {
            if group == earlier {
                return true;
            }
            if self.levels[group] > self.levels[earlier] && seen.insert(group) {
                open.extend(&self.before[group]);
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_what_is_added_late() {
        let mut all = Dependences::default();
        (0..4).for_each(|_| all.push());
        all.add(0, 1);
        all.add(2, 3);
        assert!(all.leads_to(0, vec![1]) && !all.leads_to(0, vec![3]));
        all.add(1, 2);
        assert!(all.leads_to(0, vec![3]) && !all.leads_to(3, vec![0]));
    }
}
