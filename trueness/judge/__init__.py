"""Stored predictions in, judgement out: who leads, what it is worth, where to raise an alarm."""
