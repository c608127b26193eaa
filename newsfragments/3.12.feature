The endpoints of email addresses and phone numbers answer as a server that cannot confirm any; addresses in the database are shown, deleted, and good for logging in.
