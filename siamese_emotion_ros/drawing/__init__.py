"""Pictures for people to look at: emotions drawn over a frame, and contact sheets. Knows no other room."""
