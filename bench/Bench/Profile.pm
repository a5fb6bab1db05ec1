package Bench::Profile;

# Where a worker's time goes: perf samples it with the stack of each sample,
# kernel and all, while a client runs.

use v5.30;
use warnings;

use Exporter qw(import);
use Bench::Parts qw(@parts);
use Pulse::Env ();
use Pulse::Process qw(spawn stop_process);

our @EXPORT_OK = qw(can_profile profile);

# a prime, so that nothing that happens each millisecond is always or never
# seen; and as much of the stack as a request is deep

my @record = ('perf', 'record', '-q', '-e', 'cpu-clock', '-F', 997,
              '--call-graph', 'dwarf,16384');

my %begins = map { my ($part, @functions) = @$_;
                   map {; $_ => $part } @functions }
             grep { $_->[0] !~ /^of these/ } @parts;

# What is called last is jumped to: who called it is not on the stack.

$begins{ngx_http_pulse_settle_end} = 'settle';

# Functions in which nginx goes on: what they call is nobody's part, even if
# a part has called them.

my %goes_on = map {; $_ => 1 } qw(
    ngx_http_core_run_phases ngx_http_upstream_init ngx_http_send_header
    ngx_http_output_filter ngx_http_write_filter ngx_http_finalize_request
    ngx_linux_sendfile_chain ngx_unix_send ngx_unix_recv);

# What the kernel does for nginx itself: the first of these that is on the
# stack.  What is sent over loopback has been received when send() returns,
# and whoever was woken by it may run at once.

my @kernel = (
    ['task switch' => qr/^(?:__)?schedule$/],
    [send    => qr/^(?:sock_write_iter|_*sys_send(?:to|msg|mmsg))$/],
    [receive => qr/^(?:sock_read_iter|_*sys_recv(?:from|msg|mmsg))$/],
    [epoll   => qr/epoll/],
    [files   => qr/^(?:vfs|ksys)_(?:p?readv?|p?writev?|fsync|open|fstat)/],
);

my $in_kernel = qr/^\[(?!vdso)/;

# Within the others: by a function on the stack, or by the object in which the
# sample was taken.

my %within = (
    (map { my ($part, @functions) = @$_;
           $part => join '|', @functions } grep { $_->[0] =~ /^of these/ }
                                           @parts),
    'of these: malloc()' =>
        '_*(?:libc_)?(?:malloc|calloc|realloc|c?free|posix_memalign)',
);

my %objects = ('of these: yajl' => qr{/libyajl\.},
               'of these: OpenSSL' => qr{/libcrypto\.},
               'of these: the kernel' => $in_kernel);


sub can_profile {
    return system('perf record -q -e cpu-clock -o /dev/null true'
                  . ' > /dev/null 2>&1') == 0;
}


# profile(server, samples, code): what the code returns; adds to the samples
# how many there were of the server meanwhile, whole and by parts.

sub profile {
    my ($server, $samples, $code) = @_;

    my $file = Pulse::Env::suite_dir() . '/perf.' . $server->pid;
    my $perf = spawn(command => [@record, '-p', $server->pid, '-o', $file],
                     output => Pulse::Env::suite_dir() . '/perf.log');

    my $result = $code->();

    stop_process($perf, 'INT', 30);
    add_samples($samples, $file);
    unlink $file;

    return $result;
}


sub add_samples {
    my ($of, $file) = @_;

    open my $in, '-|', 'perf', 'script', '--no-inline', '-F', 'ip,sym,dso',
         '-i', $file or die "perf script: $!\n";

    local $/ = '';

    while (my $sample = <$in>) {
        my @frames = map { /^\s*[0-9a-f]+ ([^\s.@]+)\S* \((.*)\)$/
                               ? [$1, $2] : () } split /\n/, $sample;

        next if !@frames;

        $of->{$_}++ for 'whole', part_of(@frames), parts_within(@frames);
    }

    close $in or die "perf script failed\n";
}


# Frames come from the innermost.  What is in no part is of the studio or of
# nginx, whichever of the two is nearer.

sub part_of {
    my (@frames) = @_;

    for my $name (map { $_->[0] } @frames) {
        return $begins{$name} if defined $begins{$name};
        last if $goes_on{$name};
    }

    my ($nearest) = grep { m{/(?:nginx|ngx_http_pulse_module\.so)$} }
                    map { $_->[1] } @frames;

    return 'the rest of the studio' if ($nearest // '') =~ /pulse/;
    return 'nginx itself' if $frames[0][1] !~ $in_kernel;

    for my $kind (@kernel) {
        my ($what, $is) = @$kind;

        return "kernel: $what" if grep { $_->[0] =~ $is } @frames;
    }

    return 'kernel: other';
}


sub parts_within {
    my (@frames) = @_;

    my @within;

    for my $part (keys %within) {
        push @within, $part if grep { $_->[0] =~ /^(?:$within{$part})$/ }
                              @frames;
    }

    for my $part (keys %objects) {
        push @within, $part if $frames[0][1] =~ $objects{$part};
    }

    return @within;
}


1;
