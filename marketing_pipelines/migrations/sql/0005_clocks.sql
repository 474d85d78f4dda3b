CREATE TABLE ops.clocks (
    job TEXT NOT NULL,
    cron TEXT NOT NULL,
    CONSTRAINT pk_clocks PRIMARY KEY (job)
);
COMMENT ON TABLE ops.clocks IS 'The cron of each job when its clock struck last';
COMMENT ON COLUMN ops.clocks.job IS 'Asset key';
COMMENT ON COLUMN ops.clocks.cron IS 'Five-field cron';
