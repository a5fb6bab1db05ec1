package Test::Nginx::Socket;

# Stands in for OpenResty's Test::Nginx::Socket where that is not installed:
# the sections our suites use, with its meaning of them.  What it does not
# know it refuses, so that nothing is left unchecked.  Unlike the original it
# keeps one nginx for blocks of the same configuration, runs blocks in their
# order, and fails for what must never be in an error log.

use v5.30;
use warnings;

use File::Path qw(make_path remove_tree);
use IO::Select;
use IO::Socket::INET;
use List::Util qw(any min);
use Pulse::Nginx;
use Pulse::Process qw(free_port is_alive);
use Test::Base ();
use Test::More ();
use Time::HiRes qw(sleep time);

our @ISA = ('Test::Base');

our @EXPORT = qw(
    run_tests repeat_each workers worker_connections master_on master_off
    master_process_enabled log_level timeout no_shuffle no_long_string
    no_root_location server_name server_addr server_root html_dir server_port
    server_port_for_client env_to_nginx add_block_preprocessor
    add_cleanup_handler add_test_cleanup_handler add_response_body_check
    config_preamble bail_out is_str expand_env_in_text error_log_data
    access_log_data $ServerPort $ServerPortForClient $ServerAddr $ServRoot
);

our $ServerPort = $ENV{TEST_NGINX_SERVER_PORT} || $ENV{TEST_NGINX_PORT}
                  || 1984;
our $ServerPortForClient = $ENV{TEST_NGINX_CLIENT_PORT} || $ServerPort;
our $ServerAddr = '127.0.0.1';
our $ServRoot = $ENV{TEST_NGINX_SERVROOT} || 't/servroot';

my %known = map { $_ => 1 } qw(
    main_config http_config config post_main_config server_name user_files
    log_level init request request_eval raw_request
    raw_request_middle_delay pipelined_requests more_headers timeout abort
    ignore_response error_code error_code_like response_headers
    response_headers_like raw_response_headers_like
    raw_response_headers_unlike response_body response_body_eval
    response_body_like response_body_unlike response_body_filters error_log
    no_error_log grep_error_log grep_error_log_out access_log no_access_log
    shutdown_error_log no_shutdown_error_log must_die skip_nginx skip_eval
    no_check_leak wait ONLY SKIP LAST
);

my %set = (
    workers => 1, worker_connections => 64, repeat_each => 1,
    log_level => $ENV{TEST_NGINX_LOG_LEVEL} || 'debug',
    master => $ENV{TEST_NGINX_MASTER_PROCESS} || 'off',
    timeout => $ENV{TEST_NGINX_TIMEOUT} || 3,
    server_name => 'localhost', preamble => '',
);

my (@env, @preprocessors, @cleanups, @test_cleanups, @body_checks);
my ($nginx, $identity, %ports, $version);


# --- what a suite calls ---

sub setting {
    my ($name, @value) = @_;

    $set{$name} = $value[0] if @value;

    return $set{$name};
}

sub workers { setting('workers', @_) }
sub worker_connections { setting('worker_connections', @_) }
sub repeat_each { setting('repeat_each', @_) }
sub log_level { setting('log_level', @_) }
sub timeout { setting('timeout', @_) }
sub server_name { setting('server_name', @_) }
sub config_preamble { setting('preamble', @_) }
sub master_on { $set{master} = 'on' }
sub master_off { $set{master} = 'off' }
sub no_root_location { $set{no_root_location} = 1 }
sub no_shuffle { }
sub no_long_string { }

sub master_process_enabled {
    $set{master} = $_[0] ? 'on' : 'off' if @_;

    return $set{master};
}

sub server_port { $ServerPort = $_[0] if @_; $ServerPort }
sub server_port_for_client { $ServerPortForClient = $_[0] if @_;
                             $ServerPortForClient }
sub server_addr { $ServerAddr = $_[0] if @_; $ServerAddr }
sub server_root { $ServRoot }
sub html_dir { "$ServRoot/html" }
sub env_to_nginx { push @env, @_ }
sub add_block_preprocessor (&) { unshift @preprocessors, $_[0] }
sub add_cleanup_handler { unshift @cleanups, $_[0] }
sub add_test_cleanup_handler { unshift @test_cleanups, $_[0] }
sub add_response_body_check { push @body_checks, $_[0] }

sub error_log_data { $nginx ? $nginx->error_log : [] }
sub access_log_data { $nginx ? $nginx->access_log : [] }

sub is_str {
    my ($got, $expected, $name) = @_;

    ref $expected ? Test::More::like($got, $expected, $name)
                  : Test::More::is($got, $expected, $name);
}

sub trim {
    my ($text) = @_;

    return $text if !defined $text;

    return $text =~ s/^\s+|\s+$//gr =~ s/\s+/ /gr;
}

sub bail_out {
    finish();
    Test::More::BAIL_OUT("@_");
}


sub expand_env_in_text {
    my ($text, $name) = @_;

    return $text if !defined $text || ref $text;

    $text =~ s{\$(TEST_NGINX_[_A-Z0-9]+)}{
        my $variable = $1;

        $variable =~ /^TEST_NGINX_RAND_PORT_\d+$/
            ? $ports{$variable} //= free_port()
            : $ENV{$variable}
              // bail_out("$name - No environment $variable defined.");
    }ge;

    return $text;
}


sub run_tests {
    for my $block (Test::Base::blocks()) {
        for my $preprocessor (@preprocessors) {
            $preprocessor->($block);
        }

        $block->set_value(name => "$0 " . $block->name);
        run_block($block);

        $_->() for @test_cleanups;
    }

    finish();
    $_->() for @cleanups;
}


# --- one block ---

sub run_block {
    my ($block) = @_;

    my $name = $block->name;

    for my $section (@{ ($block->_section_order)[0] // [] }) {
        bail_out("$name - no section \"$section\" here") if !$known{$section};
    }

    if (my ($count, $reason) = skipping($block)) {
        no warnings 'exiting';

        SKIP: { Test::More::skip("$name - $reason", $count) }

        return;
    }

    eval_section($block, 'init');

    my $started = prepare($block);

    if (defined $block->must_die) {
        Test::More::ok(!$started, "$name - nginx refuses to start");
        check_error_log($block, 0);
        end_nginx();
        return;
    }

    if (!$started) {
        Test::More::fail("$name - nginx starts");
        Test::More::diag(@{ $nginx->error_log }, $nginx->stderr);
        undef $identity;
        return;
    }

    for my $round (0 .. $set{repeat_each} - 1) {
        $nginx->mark;
        run_requests($block, $round);
    }

    if (!is_alive($nginx->pid)) {
        Test::More::fail("$name - nginx is still there");
        end_nginx();
        return;
    }

    if (defined $block->shutdown_error_log
        || defined $block->no_shutdown_error_log)
    {
        stop_nginx();
        check_patterns($block, 'shutdown_error_log', error_log_data(), '');
        check_no_patterns($block, 'no_shutdown_error_log', error_log_data(),
                          '');
        end_nginx();
    }
}


sub eval_section {
    my ($block, $section) = @_;

    my $code = $block->$section;

    return if !defined $code || ref $code;

    eval "package main; $code; 1" or bail_out($block->name . " - $@");
}


# "skip_nginx: 2: < 1.11.0" and "skip_eval: 2: perl".

sub skipping {
    my ($block) = @_;

    if (defined(my $rule = $block->skip_nginx)) {
        my ($count, $op, $wanted, $reason) = $rule
            =~ /^\s*(\d+)\s*:\s*([<>]=?)\s*(\d+\.\d+\.\d+)(?:\s*:\s*(.*))?\s*$/
            or bail_out($block->name . " - bad skip_nginx: $rule");

        my $order = nginx_version() cmp canonical($wanted);
        my $skip = { '<' => $order < 0, '<=' => $order <= 0,
                     '>' => $order > 0, '>=' => $order >= 0 }->{$op};

        return ($count, $reason || "nginx version $op $wanted") if $skip;
    }

    if (defined(my $rule = $block->skip_eval)) {
        my ($count, $code) = $rule =~ /^\s*(\d+)\s*:\s*(.*)/s
            or bail_out($block->name . " - bad skip_eval: $rule");

        my $skip = eval "package main; $code";

        bail_out($block->name . " - skip_eval: $@") if $@;

        return ($count, 'skip_eval') if $skip;
    }

    return ();
}


sub canonical { sprintf '%03d%03d%03d', split /\./, $_[0] }


sub nginx_version {
    my $binary = $ENV{TEST_NGINX_BINARY} || 'nginx';

    $version //= do {
        my $said = `$binary -V 2>&1`;

        $said =~ m{version: \S+/(\d+\.\d+\.\d+)}
            or bail_out("cannot read the version of nginx: $said");

        canonical($1);
    };

    return $version;
}


# The nginx of the block's configuration, running; false if it died.

sub prepare {
    my ($block) = @_;

    my $name = $block->name;

    %ports = ();

    my %o = (
        main      => expand_env_in_text(scalar $block->main_config, $name),
        post_main => expand_env_in_text(scalar $block->post_main_config, $name),
        http      => expand_env_in_text(scalar $block->http_config, $name),
        config    => $set{preamble}
            . (expand_env_in_text(scalar $block->config, $name)
               // bail_out("$name - no --- config")),
        log_level   => $block->log_level // $set{log_level},
        server_name => $block->server_name // $set{server_name},
        workers     => $set{workers},
        master      => $set{master},
        connections => $set{worker_connections},
        port        => $ServerPort,
        no_root_location => $set{no_root_location} // 0,
    );

    my $files = user_files($block);
    my $wanted = join "\0", (map { "$_=" . ($o{$_} // '') } sort keys %o),
                            map { @$_ } @$files;

    if (!defined $identity || $identity ne $wanted
        || !defined $nginx->pid || !is_alive($nginx->pid))
    {
        end_nginx();

        remove_tree($ServRoot) if -d $ServRoot;

        $nginx = Pulse::Nginx->new(prefix => $ServRoot, env_names => [@env],
                                   %o);
        write_files($files);

        $identity = $wanted;
        excuse($block);

        return $nginx->start;
    }

    excuse($block);

    return 1;
}


# Lines the block declares are no problems of the run.

sub excuse {
    my ($block) = @_;

    for my $section (qw(error_log shutdown_error_log grep_error_log)) {
        my $patterns = $block->$section;

        $nginx->excuse(patterns($patterns)) if defined $patterns;
    }
}


sub user_files {
    my ($block) = @_;

    my $name = $block->name;
    my $files = $block->user_files // return [];

    if (!ref $files) {
        my @parts = split /^>>> (\S+)[^\n]*\n/m, $files;

        shift @parts;
        $files = [];

        while (my ($file, $body) = splice @parts, 0, 2) {
            push @$files, [$file, $body];
        }
    }

    return [map { [$_->[0], expand_env_in_text($_->[1] // '', $name)] }
            @$files];
}


sub write_files {
    my ($files) = @_;

    my $index = '<html><head><title>It works!</title></head>'
                . '<body>It works!</body></html>';

    for (['index.html', $index], @$files) {
        my ($file, $body) = @$_;

        $file = html_dir() . "/$file" if $file !~ m{^/};

        make_path($file =~ s{/[^/]*$}{}r);

        open my $out, '>', $file or bail_out("$file: $!");
        binmode $out;
        print $out $body;
        close $out;
    }
}


sub stop_nginx {
    return if !defined $nginx || !defined $nginx->pid;

    my $complaint = $nginx->stop;

    Pulse::Env::complain($complaint) if defined $complaint;
}


# Ends what runs and reads its whole log.

sub end_nginx {
    return if !defined $nginx;

    stop_nginx();
    Pulse::Env::complain($nginx->problems);

    undef $nginx;
    undef $identity;
}


sub finish { end_nginx() }


# --- requests ---

sub run_requests {
    my ($block, $round) = @_;

    my $name = $block->name;
    my @requests = requests($block);
    my $pipelined = $block->pipelined_requests;
    my $count = $pipelined ? @$pipelined : @requests;
    my $rest = '';

    for my $i (0 .. $count - 1) {
        my ($raw, $head);

        if (!$pipelined || $i == 0) {
            ($raw, $head) = exchange($block, $requests[$i]);

        } else {
            $raw = $rest;
        }

        my $response;

        if (!defined $block->ignore_response) {
            ($response, $rest) = parse_response($name, $raw, $head);
            check_response($block, $response, $i, $count > 1);
        }

        sleep $block->wait if $block->wait;

        check_error_log($block, $round);
        check_access_log($block) if !defined $block->ignore_response;
    }
}


# The requests as texts, or arrays of packets with pauses between them.

sub requests {
    my ($block) = @_;

    my $name = $block->name;

    if (defined(my $raw = $block->raw_request)) {
        return ref $raw eq 'ARRAY' ? $raw : [$raw];
    }

    if (my $list = $block->pipelined_requests) {
        my @texts = map {
            my $last = $_ == $#$list;

            request_text($block, expand_env_in_text($list->[$_], $name), $_,
                         $last ? 'close' : 'keep-alive');
        } 0 .. $#$list;

        return [join '', @texts];
    }

    my $request = $block->request;

    if (defined $block->request_eval) {
        $request = eval 'package main; ' . $block->request_eval;
        bail_out("$name - request_eval: $@") if $@;
    }

    bail_out("$name - no --- request") if !defined $request;

    return [request_text($block, $request, 0, 'close')] if !ref $request;

    return map {
        my $one = $request->[$_];

        ref $one ? packets($block, $one, $_)
                 : [request_text($block, $one, $_, 'close')];
    } 0 .. $#$request;
}


# A request line, and its body on the lines after it, with the headers that
# are missing.

sub request_text {
    my ($block, $text, $i, $connection) = @_;

    $text =~ s/^\s*#[^\n]*\n|^\s+//g;

    my ($line, $body) = $text =~ /\A([^\n]*)\n?(.*)\z/s;
    my ($method, $uri, $protocol) = split ' ', $line;

    $uri //= '/';
    $protocol //= 'HTTP/1.1';

    my ($headers, $chunked) = more_headers($block, $i);
    my $host = $headers =~ /^Host:/mi ? '' : "Host: $set{server_name}\r\n";
    my $close = $headers =~ /^Connection:/mi ? ''
                                             : "Connection: $connection\r\n";
    my $length = '';

    if ($body ne '' && !$chunked && $headers !~ /^Content-Length:/mi) {
        $body =~ s/^\s+|\s+$//g;

        utf8::encode($body) if utf8::is_utf8($body);

        $length = 'Content-Length: ' . length($body) . "\r\n";
    }

    return "$method $uri $protocol\r\n$host$close$headers$length\r\n$body";
}


# The body of a request that comes in pieces: strings, or {value, delay,
# delay_before}.  The first piece bears the request line.

sub packets {
    my ($block, $pieces, $i) = @_;

    my @values = map { ref $_ ? $_->{value} : $_ } @$pieces;
    my $whole = request_text($block, join('', @values), $i, 'close');
    my ($head, $body) = $whole =~ /\A(.*?\r\n\r\n)(.*)\z/s;
    my @packets;

    for my $n (reverse 1 .. $#values) {
        my $size = min(length $values[$n], length $body);
        my $value = substr $body, -$size, $size, '';

        unshift @packets, ref $pieces->[$n]
                          ? { %{ $pieces->[$n] }, value => $value } : $value;
    }

    return [$head . $body, @packets];
}


sub more_headers {
    my ($block, $i) = @_;

    my $text = $block->more_headers // '';

    $text = $text->[$i] // bail_out($block->name . " - no headers for $i")
        if ref $text eq 'ARRAY';

    my $headers = '';

    for my $line (split /\n+/, $text) {
        next if $line =~ /^\s*#/;

        my ($name, $value) = split /:\s*/, $line, 2;

        $headers .= "$name: " . ($value // '') . "\r\n";
    }

    return ($headers, $headers =~ /^transfer-encoding: chunked\r$/mi);
}


sub seconds {
    my ($text) = @_;

    return $text if !defined $text;

    return $1 / 1000 if $text =~ /^\s*([\d.]+)ms\s*$/;
    return $1 if $text =~ /^\s*([\d.]+)s?\s*$/;

    return $text;
}


# Sends one request and reads until the server closes or time is up.

sub exchange {
    my ($block, $request) = @_;

    my $name = $block->name;
    my @packets = map { ref $_ ? { %$_ } : { value => $_ } } @$request;
    my $head = $packets[0]{value} =~ /\A\s*HEAD\s/;

    my $patience = $ENV{PULSE_TEST_PATIENCE} // 1;
    my $limit = seconds($block->timeout)
                // $set{timeout} * (defined $block->abort ? 1 : $patience);
    my $pause = $block->raw_request_middle_delay // 0;

    my $socket = IO::Socket::INET->new(
        PeerAddr => $ServerAddr, PeerPort => $ServerPortForClient,
        Timeout => 30) or bail_out("$name - cannot connect: $!");

    binmode $socket;
    $socket->blocking(0);

    local $SIG{PIPE} = 'IGNORE';

    my $select = IO::Select->new($socket);
    my $deadline = time + $limit;
    my $wait_until = 0;
    my $response = '';
    my $out = '';

    for ( ;; ) {
        if ($out eq '' && @packets && time >= $wait_until) {
            my $packet = shift @packets;

            sleep $packet->{delay_before} if $packet->{delay_before};

            $out = $packet->{value};
            utf8::encode($out) if utf8::is_utf8($out);
            $wait_until = time + ($packet->{delay} // $pause);
        }

        if ($out ne '') {
            my $sent = syswrite $socket, $out;

            substr $out, 0, $sent, '' if defined $sent;

            # the server has closed: what it said first still counts

            ($out, @packets) = ('') if !defined $sent && !$!{EAGAIN};
        }

        my $left = $deadline - time;

        if ($left <= 0) {
            Test::More::fail("ERROR: client socket timed out - $name")
                if !defined $block->abort;
            last;
        }

        $left = min($left, 0.01) if $out ne '' || @packets;

        next if !$select->can_read($left);

        my $got = sysread $socket, $response, 65536, length $response;

        last if defined $got ? $got == 0 : !$!{EAGAIN};
    }

    close $socket;

    return ($response, $head);
}


# --- the answer ---

sub parse_response {
    my ($name, $raw, $head_request) = @_;

    my ($head, $body) = $raw =~ /\A(.*?\r\n)\r\n(.*)\z/s
        or return ({ code => '', raw => '', headers => {}, body => $raw }, '');

    my ($code) = $head =~ m{\AHTTP/\d(?:\.\d)? (\d+)};
    my %headers;

    while ($head =~ /^([^:\r\n]+):[ \t]*([^\r\n]*)\r$/mg) {
        push @{ $headers{lc $1} }, $2;
    }

    if (($code // 0) =~ /^1\d\d$/ && $code != 101) {
        return parse_response($name, $body, $head_request);
    }

    my $rest = '';
    my $coding = $headers{'transfer-encoding'}[0] // '';
    my $length = $headers{'content-length'}[0];

    if ($head_request || ($code // 0) == 304 || ($code // 0) == 204) {
        ($body, $rest) = ('', $body);

    } elsif ($coding eq 'chunked') {
        ($body, $rest) = dechunk($name, $body);

    } elsif (defined $length) {
        Test::More::diag("$name - body of $length bytes is cut at "
                         . length $body) if length $body < $length;

        $rest = length $body > $length ? substr $body, $length : '';
        $body = substr $body, 0, $length;
    }

    return ({ code => $code // '', raw => $head, headers => \%headers,
              body => $body }, $rest);
}


sub dechunk {
    my ($name, $raw) = @_;

    my $body = '';

    for ( ;; ) {
        if ($raw !~ s/\A[ \t]*([0-9A-Fa-f]+)[^\r\n]*\r\n//) {
            Test::More::fail("$name - the last chunk is missing");
            return ($body, '');
        }

        my $size = hex $1;

        if ($size == 0) {
            $raw =~ s/\A(?:[^\r\n]+\r\n)*\r\n//;
            return ($body, $raw);
        }

        if (length $raw < $size + 2) {
            Test::More::fail("$name - a chunk is cut");
            return ($body . $raw, '');
        }

        $body .= substr $raw, 0, $size, '';
        substr $raw, 0, 2, '';
    }
}


# --- checks ---

# With several requests every expectation is an array, one for each.

sub expected {
    my ($block, $section, $i, $several) = @_;

    my $value = $block->$section;

    return $value if !defined $value;
    return $value->[$several ? $i : 0] if ref $value eq 'ARRAY';

    bail_out($block->name . " - $section is no array, the requests are")
        if $several;

    return $value;
}


sub check_response {
    my ($block, $response, $i, $several) = @_;

    my $name = $block->name;

    check_code($block, $response, $i, $several);
    check_headers($block, $response, $i, $several);

    my $body = filtered_body($block, $response->{body}, $i);

    if (defined $block->response_body || defined $block->response_body_eval) {
        my $want = expected($block, 'response_body', $i, $several);

        if (defined $block->response_body_eval) {
            $want = eval 'package main; '
                         . expected($block, 'response_body_eval', $i,
                                    $several);
            bail_out("$name - response_body_eval: $@") if $@;
        }

        $want = with_port(expand_env_in_text($want, $name));
        utf8::encode($want) if defined $want && utf8::is_utf8($want);

        is_str($body, $want, "$name - response_body (req $i)");

    } elsif (defined $block->response_body_like) {
        my $want = with_port(expected($block, 'response_body_like', $i,
                                      $several));

        Test::More::like($body, qr/$want/s,
                         "$name - response_body_like (req $i)");

    } elsif (defined $block->response_body_unlike) {
        my $want = with_port(expected($block, 'response_body_unlike', $i,
                                      $several));

        Test::More::unlike($body, qr/$want/s,
                           "$name - response_body_unlike (req $i)");
    }

    $_->($block, $body, $i, 0, 0) for @body_checks;
}


sub with_port {
    my ($text) = @_;

    return $text if !defined $text || ref $text;

    return $text =~ s/\$ServerPort(?:ForClient)?\b/$ServerPort/gr;
}


sub check_code {
    my ($block, $response, $i, $several) = @_;

    my $name = $block->name . " - status code (req $i)";

    if (defined $block->error_code_like) {
        my $want = expected($block, 'error_code_like', $i, $several);

        Test::More::like($response->{code}, qr/$want/sm, $name);

    } else {
        my $want = expected($block, 'error_code', $i, $several) // 200;

        Test::More::is($response->{code}, trim($want), $name)
            || Test::More::diag($response->{raw}, $response->{body});
    }
}


sub check_headers {
    my ($block, $response, $i, $several) = @_;

    my $name = $block->name;

    if (defined $block->raw_response_headers_like) {
        my $want = expected($block, 'raw_response_headers_like', $i,
                            $several);

        Test::More::like($response->{raw}, qr/$want/s,
                         "$name - raw headers like (req $i)");
    }

    if (defined $block->raw_response_headers_unlike) {
        my $want = expected($block, 'raw_response_headers_unlike', $i,
                            $several);

        Test::More::unlike($response->{raw}, qr/$want/s,
                           "$name - raw headers unlike (req $i)");
    }

    for my $section (qw(response_headers response_headers_like)) {
        my $text = expected($block, $section, $i, $several) // next;

        for my $line (map { s/^\s+|\s+$//gr } split /\n/, $text) {
            check_header($name, $section, $response, $line, $i)
                if $line ne '';
        }
    }
}


sub check_header {
    my ($name, $section, $response, $line, $i) = @_;

    if ($line =~ s/^!\s*//) {
        Test::More::unlike($response->{raw}, qr/^\s*\Q$line\E\s*:/mi,
                           "$name - no header $line (req $i)");
        return;
    }

    my ($header, $want) = split /\s*:\s*/, $line, 2;
    my $got = join ', ', @{ $response->{headers}{lc $header} // [] };

    if ($section eq 'response_headers_like') {
        Test::More::like($got, qr/^$want$/,
                         "$name - header $header like (req $i)");

    } else {
        Test::More::is($got, with_port($want // ''),
                       "$name - header $header (req $i)");
    }
}


my %body_filters = (
    lc => sub { lc $_[0] }, uc => sub { uc $_[0] },
    lcfirst => sub { lcfirst $_[0] }, ucfirst => sub { ucfirst $_[0] },
    length => sub { length $_[0] },
    md5_hex => sub { require Digest::MD5; Digest::MD5::md5_hex($_[0]) },
    sha1_hex => sub { require Digest::SHA; Digest::SHA::sha1_hex($_[0]) },
);

sub filtered_body {
    my ($block, $body, $i) = @_;

    my $filters = $block->response_body_filters // return $body;

    $filters = [split ' ', $filters] if !ref $filters;
    $filters = [$filters] if ref $filters ne 'ARRAY';
    $filters = $filters->[$i] if ref $filters->[0] eq 'ARRAY';

    for my $filter (@$filters) {
        my $code = ref $filter ? $filter : $body_filters{$filter};

        bail_out($block->name . " - no filter \"$filter\"") if !$code;

        $body = $code->($body);
    }

    return $body;
}


sub patterns {
    my ($patterns) = @_;

    return grep { defined } @$patterns if ref $patterns eq 'ARRAY';
    return $patterns if ref $patterns;

    return split /\n+/, $patterns;
}


sub found_in {
    my ($pattern, $lines) = @_;

    return (grep { ref $pattern ? /$pattern/ : index($_, $pattern) >= 0 }
            @$lines)[0];
}


# A line may be written after the answer was read (the log phase of a request
# comes last): what must be there is waited for.

sub check_patterns {
    my ($block, $section, $lines, $again) = @_;

    my $patterns = $block->$section // return;

    for my $pattern (patterns($patterns)) {
        my $found = defined found_in($pattern, $lines);

        if (!$found && $again) {
            $found = Pulse::Process::wait_until {
                defined found_in($pattern, $again->());
            } 1;
        }

        Test::More::ok($found, $block->name
                       . " - $section: \"$pattern\" matches a line");
    }
}


sub check_no_patterns {
    my ($block, $section, $lines) = @_;

    my $patterns = $block->$section // return;

    for my $pattern (patterns($patterns)) {
        my $line = found_in($pattern, $lines);

        Test::More::ok(!defined $line, $block->name
                       . " - $section: \"$pattern\" matches no line")
            || Test::More::diag($line);
    }
}


sub check_error_log {
    my ($block, $round) = @_;

    my $name = $block->name;
    my $grep = $block->grep_error_log;

    $grep = $grep->[$round] if ref $grep eq 'ARRAY';

    if (defined $grep) {
        my $want = $block->grep_error_log_out
            // bail_out("$name - no --- grep_error_log_out");

        $want = $want->[$round] if ref $want eq 'ARRAY';
        $want = expand_env_in_text($want, $name);

        my $got = '';

        for my $line (@{ error_log_data() }) {
            if (ref $grep ? $line =~ /$grep/ : $line =~ /\Q$grep\E/) {
                my $match = $&;

                $got .= "$match\n" if $match !~ /\n/;
            }
        }

        is_str($got, $want, "$name - grep_error_log_out (req $round)");
    }

    check_patterns($block, 'error_log', error_log_data(), \&error_log_data);
    check_no_patterns($block, 'no_error_log', error_log_data());
}


sub check_access_log {
    my ($block) = @_;

    check_patterns($block, 'access_log', access_log_data(),
                   \&access_log_data);
    check_no_patterns($block, 'no_access_log', access_log_data());
}


1;
