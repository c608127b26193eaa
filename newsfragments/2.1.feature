The client API of rooms, messages, state, aliases, the public list, receipts, typing, account data, tags, push rules, profiles, devices and /sync.
