"""`tisdiss reproduce`: makes a run again from its record, and says whether it is the same."""
