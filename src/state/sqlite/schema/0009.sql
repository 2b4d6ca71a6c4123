-- Of a create that brought no usable answer: the outcome (JSON) that it has unless a look at the end of its run finds the
-- account. It is told then, or when the next sender starts. `intended_at` is, once that is known, when the answer was
-- given up: what has no answer is not sent again before the target had time to finish it.
ALTER TABLE journal ADD COLUMN doubt TEXT;

-- What the target shows against a write that it acknowledged, by field: {"sent": …, "shown": …}.
ALTER TABLE body ADD COLUMN kept TEXT;
