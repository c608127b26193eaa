A request costs a third less CPU before its endpoint runs: answers are written at once, log lines and metrics cost a fraction.
