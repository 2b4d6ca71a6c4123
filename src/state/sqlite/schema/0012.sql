-- Whatever changes people forgets the version of their sync's export by a statement of its own, once a command; and what
-- was replaced is pruned together with the outcomes.
DROP TRIGGER person_added;
DROP TRIGGER person_changed;
DROP TRIGGER person_removed;
DROP TRIGGER undo_is_pruned;
