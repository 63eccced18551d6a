"""Bias: what prompts leave open, what pictures show, parity of campaigns, quotas, and audits of a base."""
