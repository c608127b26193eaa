Rooms can be upgraded: state, bans, aliases and the place on the public list move on, and tags, push rules and direct chats follow whoever joins.
