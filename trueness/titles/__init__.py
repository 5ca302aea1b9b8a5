"""Campaigns on titles: carried out, judged, stored, and used."""
