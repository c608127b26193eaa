Guest accounts (`allow_guest_access`): guests may do what the specification lists, join where rooms let guests in, are put out when that ends, and can become users.
