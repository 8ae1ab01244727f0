-- The tables that the migrations listed at the end make in a new database. Written by `make schema`; not by hand.
CREATE FUNCTION public._pgtrigger_should_ignore(trigger_name name) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$SELECT false$$;
CREATE FUNCTION public.accounts_cost_step(cost numeric, change numeric, total numeric, price numeric) RETURNS numeric
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    AS $$
    DECLARE
        part numeric;
        whole numeric;
        units numeric;
        rest numeric;
    BEGIN
        IF price = 0 THEN RETURN cost; END IF;
        IF change > 0 THEN RETURN cost + coalesce(price, 0) * change; END IF;
        part := trunc(cost * 10000) * trunc(total);
        whole := trunc(total - change);
        units := div(part, whole);
        rest := part - units * whole;
        IF 2 * rest > whole OR 2 * rest = whole AND units % 2 = 1 THEN units := units + 1; END IF;
        RETURN units / 10000;
    END $$;
CREATE FUNCTION public.no_truncate() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
    BEGIN
        RAISE EXCEPTION '% keeps its rows', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END $$;
CREATE FUNCTION public.pgtrigger_adjustment_terms_stay_fcb70() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_adjustments_stay_0595d() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_audit_stays_e8ba4() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_balances_stay_bec93() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_cases_stay_a35ca() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_closing_prices_stay_83aaa() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_closings_stay_ab2fc() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_controls_stay_1b039() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_corporate_action_terms_stay_82a31() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_corporate_actions_stay_b62b1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_counters_count_up_b453c() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_counters_stay_98aa9() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_day_totals_stay_aeaff() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_decided_adjustments_stay_f4868() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_decided_proposals_stay_063d5() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_decided_staff_reports_stay_353a6() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_ended_corporate_actions_stay_6d186() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_entitlements_stay_75a8f() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_fee_rates_stay_f0bd2() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_final_trades_stay_0f1f4() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_freezes_stay_b6a4c() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_lifted_restrictions_stay_4e9ec() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_lots_are_kept_1a808() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_lots_stay_0f032() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_moves_stay_1818f() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_notes_stay_44c23() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_positions_stay_b3c26() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_postings_are_kept_a5d50() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_postings_stay_b06b5() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_proofs_stay_70b71() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_proposals_stay_491ba() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_reconciliations_stay_2470d() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_report_words_stay_159d8() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_reports_of_days_stay_fe201() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_reports_stay_d7391() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_sent_terms_stay_895a7() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_settlement_dates_stay_5f030() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_sign_ins_are_kept_a9fc4() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_sign_ins_stay_61a52() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_staff_reports_stay_d9d1c() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_status_changes_stay_428e5() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_switches_stay_c38c8() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_trade_terms_stay_7d3c2() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_trades_begin_placed_bf910() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot insert rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_trades_go_forward_afd2d() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_trades_move_forward_82200() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_trades_stay_2d613() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_transfers_stay_1e8ad() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update or delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_violations_are_kept_35fec() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot delete rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE FUNCTION public.pgtrigger_violations_stay_71aa1() RETURNS trigger
    LANGUAGE plpgsql
    AS $$
                
                BEGIN
                    IF ("public"._pgtrigger_should_ignore(TG_NAME) IS TRUE) THEN
                        IF (TG_OP = 'DELETE') THEN
                            RETURN OLD;
                        ELSE
                            RETURN NEW;
                        END IF;
                    END IF;
                    RAISE EXCEPTION 'pgtrigger: Cannot update rows from % table', TG_TABLE_NAME;
                END;
            $$;
CREATE AGGREGATE public.accounts_cost(change numeric, total numeric, price numeric) (
    SFUNC = public.accounts_cost_step,
    STYPE = numeric,
    INITCOND = '0'
);
CREATE TABLE public.account_emailaddress (
    id integer NOT NULL,
    email character varying(254) NOT NULL,
    verified boolean NOT NULL,
    "primary" boolean NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.account_emailaddress ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.account_emailaddress_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.account_emailconfirmation (
    id integer NOT NULL,
    created timestamp with time zone NOT NULL,
    sent timestamp with time zone,
    key character varying(64) NOT NULL,
    email_address_id integer NOT NULL
);
ALTER TABLE public.account_emailconfirmation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.account_emailconfirmation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_adjustment (
    id uuid NOT NULL,
    change numeric(19,4) NOT NULL,
    reason_code character varying(10) CONSTRAINT accounts_adjustment_reason_not_null NOT NULL,
    reason character varying(500) CONSTRAINT accounts_adjustment_why_not_null NOT NULL,
    asked_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    approved boolean,
    decided_at timestamp with time zone,
    asked_by_id bigint NOT NULL,
    customer_id bigint NOT NULL,
    decided_by_id bigint,
    price numeric(19,4),
    ticker character varying(12) DEFAULT ''::character varying NOT NULL,
    CONSTRAINT adjustment_has_a_price_for_added_shares CHECK ((((price IS NULL) AND (((ticker)::text = ''::text) OR (change < (0)::numeric))) OR ((NOT ((ticker)::text = ''::text)) AND (change > (0)::numeric) AND (price >= (0)::numeric) AND (price IS NOT NULL) AND (price < ('1000000000000000'::bigint)::numeric)))),
    CONSTRAINT adjustment_is_decided_by_somebody CHECK ((((approved IS NULL) AND (decided_at IS NULL) AND (decided_by_id IS NULL)) OR ((approved IS NOT NULL) AND (decided_at IS NOT NULL) AND (decided_by_id IS NOT NULL)))),
    CONSTRAINT adjustment_moves_something CHECK ((NOT (change = (0)::numeric))),
    CONSTRAINT adjustment_of_shares_is_of_whole_ones CHECK ((((ticker)::text = ''::text) OR (change = floor(change)))),
    CONSTRAINT nobody_decides_on_their_own CHECK ((NOT ((decided_by_id = asked_by_id) AND (decided_by_id IS NOT NULL))))
);
CREATE TABLE public.accounts_balance (
    customer_id bigint NOT NULL,
    amount numeric(19,4) NOT NULL,
    held numeric(19,4) NOT NULL,
    modified_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    lot_method character varying(12) DEFAULT 'fifo'::character varying NOT NULL,
    settled_cash_until date,
    CONSTRAINT balance_holds_no_more_than_there_is CHECK (((amount < ('1000000000000000'::bigint)::numeric) AND (held >= (0)::numeric) AND (held <= amount)))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02');
CREATE TABLE public.accounts_closingprice (
    id bigint NOT NULL,
    day date NOT NULL,
    ticker character varying(12) NOT NULL,
    price numeric(19,4),
    stored_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    is_last_known boolean DEFAULT false NOT NULL,
    CONSTRAINT closing_price_is_positive CHECK (((price IS NULL) OR (price > (0)::numeric)))
);
ALTER TABLE public.accounts_closingprice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_closingprice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_customer (
    id bigint NOT NULL,
    password character varying(128) NOT NULL,
    last_login timestamp with time zone,
    is_superuser boolean NOT NULL,
    email character varying(254) NOT NULL,
    name character varying(120) NOT NULL,
    is_active boolean NOT NULL,
    is_staff boolean NOT NULL,
    joined_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    theme character varying(6) NOT NULL,
    time_zone character varying(64) NOT NULL,
    closed_at timestamp with time zone,
    erased_at timestamp with time zone,
    code_step bigint DEFAULT 0 NOT NULL,
    CONSTRAINT customer_email_is_lower_case CHECK (((email)::text = lower((email)::text)))
);
CREATE TABLE public.accounts_customer_groups (
    id bigint NOT NULL,
    customer_id bigint NOT NULL,
    group_id integer NOT NULL
);
ALTER TABLE public.accounts_customer_groups ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_customer_groups_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
ALTER TABLE public.accounts_customer ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_customer_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_customer_user_permissions (
    id bigint NOT NULL,
    customer_id bigint NOT NULL,
    permission_id integer NOT NULL
);
ALTER TABLE public.accounts_customer_user_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_customer_user_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_freeze (
    id bigint NOT NULL,
    is_on boolean NOT NULL,
    reason character varying(500) CONSTRAINT accounts_freeze_why_not_null NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    by_id bigint NOT NULL,
    customer_id bigint NOT NULL
);
ALTER TABLE public.accounts_freeze ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_freeze_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_goodfaithviolation (
    id bigint NOT NULL,
    ticker character varying(12) NOT NULL,
    cause uuid NOT NULL,
    bought_on date NOT NULL,
    sold_on date NOT NULL,
    settles_on date NOT NULL,
    number integer NOT NULL,
    restricts_until date,
    recorded_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    lifted_at timestamp with time zone,
    lift_reason character varying(500) NOT NULL,
    customer_id bigint NOT NULL,
    lifted_by_id bigint,
    lot_id uuid NOT NULL,
    CONSTRAINT restriction_is_lifted_once CHECK (((((lift_reason)::text = ''::text) AND (lifted_at IS NULL) AND (lifted_by_id IS NULL)) OR ((lifted_at IS NOT NULL) AND (lifted_by_id IS NOT NULL) AND (restricts_until IS NOT NULL) AND (NOT ((lift_reason)::text = ''::text))))),
    CONSTRAINT violation_was_too_early CHECK (((bought_on < settles_on) AND (number > 0) AND (sold_on < settles_on)))
);
ALTER TABLE public.accounts_goodfaithviolation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_goodfaithviolation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_limits (
    customer_id bigint NOT NULL,
    reads_a_minute integer,
    orders_a_minute integer,
    CONSTRAINT accounts_limits_orders_a_minute_check CHECK ((orders_a_minute >= 0)),
    CONSTRAINT accounts_limits_reads_a_minute_check CHECK ((reads_a_minute >= 0))
);
CREATE TABLE public.accounts_lot (
    id uuid NOT NULL,
    ticker character varying(12) NOT NULL,
    cause uuid NOT NULL,
    acquired_on date NOT NULL,
    quantity bigint NOT NULL,
    cost numeric(19,4) NOT NULL,
    remaining bigint NOT NULL,
    remaining_cost numeric(19,4) NOT NULL,
    origin uuid,
    customer_id bigint NOT NULL,
    paid_with_until date,
    CONSTRAINT lot_has_no_more_than_was_bought CHECK (((quantity > 0) AND (remaining >= 0) AND (remaining <= quantity) AND (cost < ('1000000000000000'::bigint)::numeric) AND (remaining_cost >= (0)::numeric) AND (remaining_cost <= cost)))
);
CREATE TABLE public.accounts_lotclosing (
    id bigint NOT NULL,
    ticker character varying(12) NOT NULL,
    cause uuid NOT NULL,
    acquired_on date NOT NULL,
    closed_on date NOT NULL,
    quantity bigint NOT NULL,
    cost numeric(19,4) NOT NULL,
    proceeds numeric(19,4),
    gain numeric(19,4),
    is_long_term boolean NOT NULL,
    customer_id bigint NOT NULL,
    lot_id uuid NOT NULL,
    CONSTRAINT closing_adds_up CHECK (((cost >= (0)::numeric) AND (quantity > 0) AND (((gain IS NULL) AND (proceeds IS NULL)) OR ((gain = (proceeds - cost)) AND (gain IS NOT NULL) AND (proceeds IS NOT NULL)))))
);
ALTER TABLE public.accounts_lotclosing ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_lotclosing_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_mail (
    id bigint NOT NULL,
    content text NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    due_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    tries smallint DEFAULT 0 NOT NULL,
    is_urgent boolean DEFAULT false NOT NULL
);
ALTER TABLE public.accounts_mail ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_mail_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_mutednotice (
    id bigint NOT NULL,
    kind character varying(12) NOT NULL,
    customer_id bigint NOT NULL
);
ALTER TABLE public.accounts_mutednotice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_mutednotice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_notice (
    id bigint NOT NULL,
    kind character varying(12) NOT NULL,
    cause character varying(64) NOT NULL,
    title character varying(200) NOT NULL,
    text character varying(1000) NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    due_at timestamp with time zone DEFAULT statement_timestamp(),
    sent_at timestamp with time zone,
    tries smallint DEFAULT 0 NOT NULL,
    customer_id bigint NOT NULL
);
ALTER TABLE public.accounts_notice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_notice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_noticeplace (
    name character varying(40) NOT NULL,
    place bigint NOT NULL,
    seen bigint DEFAULT 0 NOT NULL,
    xact bigint DEFAULT 0 NOT NULL
);
CREATE TABLE public.accounts_position (
    id bigint NOT NULL,
    ticker character varying(12) NOT NULL,
    quantity bigint NOT NULL,
    held bigint NOT NULL,
    modified_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    customer_id bigint NOT NULL,
    cost numeric(19,4) NOT NULL,
    CONSTRAINT position_has_a_cost CHECK (((cost >= (0)::numeric) AND (cost < ('1000000000000000'::bigint)::numeric))),
    CONSTRAINT position_holds_no_more_than_there_is CHECK (((held >= 0) AND (held <= quantity))),
    CONSTRAINT position_names_a_stock CHECK ((NOT ((ticker)::text = ''::text)))
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02');
ALTER TABLE public.accounts_position ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_position_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_posting (
    id bigint NOT NULL,
    ticker character varying(12) NOT NULL,
    kind character varying(12) NOT NULL,
    cause uuid NOT NULL,
    change numeric(19,4) NOT NULL,
    total numeric(19,4) NOT NULL,
    price numeric(19,4),
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    customer_id bigint NOT NULL,
    settles_on date,
    CONSTRAINT posting_leaves_no_less_than_zero CHECK (((total >= (0)::numeric) AND (total < ('1000000000000000'::bigint)::numeric))),
    CONSTRAINT posting_moves_something CHECK ((((NOT (change = (0)::numeric)) AND ((kind)::text = ANY ((ARRAY['deposit'::character varying, 'withdrawal'::character varying, 'buy'::character varying, 'sell'::character varying, 'adjustment'::character varying])::text[]))) OR ((NOT (change = (0)::numeric)) AND ((kind)::text = ANY ((ARRAY['dividend'::character varying, 'split'::character varying, 'fee'::character varying, 'new_ticker'::character varying])::text[])))))
);
ALTER TABLE public.accounts_posting ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_posting_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_signin (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    kind character varying(16) NOT NULL,
    address character varying(64) NOT NULL,
    device character varying(300) NOT NULL,
    second_factor boolean NOT NULL,
    session character varying(12) NOT NULL,
    customer_id bigint NOT NULL
);
ALTER TABLE public.accounts_signin ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.accounts_signin_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.accounts_token (
    id uuid NOT NULL,
    name character varying(80) NOT NULL,
    token_hash character varying(64) NOT NULL,
    key_id character varying(32) NOT NULL,
    secret_hash character varying(64) NOT NULL,
    scopes jsonb NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    expires_at timestamp with time zone,
    last_used_at timestamp with time zone,
    customer_id bigint NOT NULL,
    allowed_addresses jsonb,
    idempotency_key character varying(128),
    last_used_address inet
);
CREATE TABLE public.accounts_transfer (
    id uuid NOT NULL,
    type character varying(10) NOT NULL,
    amount numeric(19,4) NOT NULL,
    idempotency_key character varying(128),
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    customer_id bigint NOT NULL,
    CONSTRAINT transfer_moves_something CHECK (((amount > (0)::numeric) AND (amount < ('1000000000000000'::bigint)::numeric) AND ((type)::text = ANY ((ARRAY['deposit'::character varying, 'withdrawal'::character varying])::text[]))))
);
CREATE TABLE public.accounts_watchlist (
    id uuid NOT NULL,
    name character varying(64) NOT NULL,
    tickers character varying(12)[] NOT NULL,
    is_default boolean NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    updated_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    customer_id bigint NOT NULL
);
CREATE TABLE public.alpaca_api_configuration (
    customer_id bigint NOT NULL,
    suspend_trade boolean NOT NULL,
    trade_confirm_email character varying(4) DEFAULT 'all'::character varying NOT NULL
);
CREATE TABLE public.auth_group (
    id integer NOT NULL,
    name character varying(150) NOT NULL
);
ALTER TABLE public.auth_group ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.auth_group_permissions (
    id bigint NOT NULL,
    group_id integer NOT NULL,
    permission_id integer NOT NULL
);
ALTER TABLE public.auth_group_permissions ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_group_permissions_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.auth_permission (
    id integer NOT NULL,
    name character varying(255) NOT NULL,
    content_type_id integer NOT NULL,
    codename character varying(100) NOT NULL
);
ALTER TABLE public.auth_permission ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.auth_permission_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_admin_log (
    id integer NOT NULL,
    action_time timestamp with time zone NOT NULL,
    object_id text,
    object_repr character varying(200) NOT NULL,
    action_flag smallint NOT NULL,
    change_message text NOT NULL,
    content_type_id integer,
    user_id bigint NOT NULL,
    CONSTRAINT django_admin_log_action_flag_check CHECK ((action_flag >= 0))
);
ALTER TABLE public.django_admin_log ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_admin_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_content_type (
    id integer NOT NULL,
    app_label character varying(100) NOT NULL,
    model character varying(100) NOT NULL
);
ALTER TABLE public.django_content_type ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_content_type_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_migrations (
    id bigint NOT NULL,
    app character varying(255) NOT NULL,
    name character varying(255) NOT NULL,
    applied timestamp with time zone NOT NULL
);
ALTER TABLE public.django_migrations ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.django_migrations_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.django_session (
    session_key character varying(40) NOT NULL,
    session_data text NOT NULL,
    expire_date timestamp with time zone NOT NULL
);
CREATE TABLE public.exchange_call (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    verb character varying(8) NOT NULL,
    trade_ids uuid[] NOT NULL,
    outcome character varying(8) NOT NULL,
    answers jsonb NOT NULL,
    seen character varying(300) NOT NULL,
    took_ms double precision NOT NULL
);
ALTER TABLE public.exchange_call ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.exchange_call_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.exchange_clockskew (
    id bigint NOT NULL,
    seconds double precision NOT NULL,
    measured_at timestamp with time zone NOT NULL,
    CONSTRAINT one_clock_skew CHECK ((id = 1))
);
ALTER TABLE public.exchange_clockskew ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.exchange_clockskew_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.exchange_closure (
    id bigint NOT NULL,
    day date NOT NULL,
    closes time without time zone,
    reason character varying(200) NOT NULL,
    source character varying(8) NOT NULL,
    by character varying(254) NOT NULL,
    entered_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL
);
ALTER TABLE public.exchange_closure ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.exchange_closure_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.exchange_shortlist (
    id bigint NOT NULL,
    began_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    ended_at timestamp with time zone,
    listed integer NOT NULL,
    missing character varying(12)[] NOT NULL,
    accepted_by character varying(254) NOT NULL
);
ALTER TABLE public.exchange_shortlist ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.exchange_shortlist_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.exchange_stock (
    ticker character varying(12) NOT NULL,
    name character varying(200) NOT NULL,
    market character varying(40) NOT NULL,
    industry character varying(120) NOT NULL,
    listed boolean NOT NULL,
    seen_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    missing_since timestamp with time zone,
    last_price numeric(19,4),
    last_price_at timestamp with time zone
);
CREATE TABLE public.mfa_authenticator (
    id bigint NOT NULL,
    type character varying(20) NOT NULL,
    data jsonb NOT NULL,
    user_id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    last_used_at timestamp with time zone
);
ALTER TABLE public.mfa_authenticator ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.mfa_authenticator_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_auditentry (
    number bigint NOT NULL,
    at timestamp with time zone NOT NULL,
    staff_id bigint,
    staff character varying(254) NOT NULL,
    address character varying(64) NOT NULL,
    action character varying(40) NOT NULL,
    outcome character varying(8) NOT NULL,
    customer_id bigint,
    trade_id uuid,
    subject character varying(200) NOT NULL,
    reason character varying(500) NOT NULL,
    before jsonb,
    after jsonb,
    previous character varying(64) NOT NULL,
    digest character varying(64) NOT NULL
);
CREATE TABLE public.office_audithead (
    id smallint NOT NULL,
    number bigint NOT NULL,
    digest character varying(64) NOT NULL,
    CONSTRAINT one_audit_head CHECK ((id = 1))
);
CREATE TABLE public.office_case (
    id bigint NOT NULL,
    kind character varying(16) NOT NULL,
    key character varying(200) NOT NULL,
    detail character varying(1000) NOT NULL,
    trade_id uuid,
    report_id bigint,
    found_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    seen_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    closed_at timestamp with time zone,
    resolution character varying(500) NOT NULL,
    closed_by_id bigint,
    customer_id bigint,
    owner_id bigint,
    CONSTRAINT who_closes_says_how CHECK ((((closed_at IS NULL) AND (closed_by_id IS NULL)) OR ((closed_at IS NOT NULL) AND (NOT ((resolution)::text = ''::text)))))
);
ALTER TABLE public.office_case ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_case_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_columnchoice (
    id bigint NOT NULL,
    "table" character varying(80) NOT NULL,
    columns jsonb NOT NULL,
    staff_id bigint NOT NULL
);
ALTER TABLE public.office_columnchoice ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_columnchoice_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_dailyreport (
    day date NOT NULL,
    figures jsonb NOT NULL,
    made_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL
);
CREATE TABLE public.office_heartbeat (
    id bigint NOT NULL,
    asked_at timestamp with time zone NOT NULL,
    workers character varying(200)[],
    exchange_ms double precision,
    exchange_seen character varying(300) DEFAULT ''::character varying NOT NULL,
    CONSTRAINT one_heartbeat CHECK ((id = 1))
);
ALTER TABLE public.office_heartbeat ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_heartbeat_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_job (
    name character varying(20) CONSTRAINT office_duty_name_not_null NOT NULL,
    due_at timestamp with time zone DEFAULT statement_timestamp() CONSTRAINT office_duty_due_at_not_null NOT NULL,
    asked_by character varying(254) CONSTRAINT office_duty_asked_by_not_null NOT NULL,
    began_at timestamp with time zone,
    ended_at timestamp with time zone,
    failure character varying(500) CONSTRAINT office_duty_failure_not_null NOT NULL
);
CREATE TABLE public.office_note (
    id bigint NOT NULL,
    text character varying(2000) NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    by_id bigint NOT NULL,
    customer_id bigint NOT NULL
);
ALTER TABLE public.office_note ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_note_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_proof (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    took_ms integer NOT NULL,
    ok boolean NOT NULL,
    customers bigint NOT NULL,
    trades bigint NOT NULL,
    postings bigint NOT NULL,
    violations_count bigint NOT NULL,
    violations jsonb NOT NULL,
    asked_by character varying(254) NOT NULL,
    earlier_id bigint,
    changed bigint,
    full_because character varying(300) DEFAULT ''::character varying NOT NULL,
    mark jsonb,
    CONSTRAINT ok_is_no_violation CHECK ((ok = (violations_count = 0)))
);
ALTER TABLE public.office_proof ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_proof_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_proposal (
    id bigint NOT NULL,
    action character varying(40) NOT NULL,
    target character varying(64) NOT NULL,
    given jsonb NOT NULL,
    subject character varying(200) NOT NULL,
    customer_id bigint,
    trade_id uuid,
    asked_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    approved boolean,
    decided_at timestamp with time zone,
    result character varying(500) NOT NULL,
    asked_by_id bigint NOT NULL,
    decided_by_id bigint,
    CONSTRAINT nobody_approves_their_own CHECK ((NOT ((decided_by_id = asked_by_id) AND (decided_by_id IS NOT NULL)))),
    CONSTRAINT proposal_is_decided_by_somebody CHECK ((((approved IS NULL) AND (decided_at IS NULL) AND (decided_by_id IS NULL)) OR ((approved IS NOT NULL) AND (decided_at IS NOT NULL) AND (decided_by_id IS NOT NULL))))
);
ALTER TABLE public.office_proposal ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_proposal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_reconciliation (
    id bigint NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    took_ms integer NOT NULL,
    orders bigint NOT NULL,
    fills bigint NOT NULL,
    tickers integer NOT NULL,
    breaks bigint NOT NULL,
    asked_by character varying(254) NOT NULL,
    CONSTRAINT no_more_fills_than_orders CHECK ((fills <= orders))
);
ALTER TABLE public.office_reconciliation ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_reconciliation_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.office_savedfilter (
    id bigint NOT NULL,
    "table" character varying(80) NOT NULL,
    name character varying(60) NOT NULL,
    query character varying(2000) NOT NULL,
    staff_id bigint NOT NULL
);
ALTER TABLE public.office_savedfilter ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.office_savedfilter_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_corporateaction (
    id uuid NOT NULL,
    announcement character varying(128),
    sequence bigint,
    kind character varying(16) NOT NULL,
    ticker character varying(12) NOT NULL,
    ex_date date NOT NULL,
    pay_date date,
    amount_per_share numeric(19,4),
    numerator bigint,
    denominator bigint,
    new_ticker character varying(12) NOT NULL,
    reference_price numeric(19,4),
    entered_by character varying(254) NOT NULL,
    entered_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    state character varying(10) NOT NULL,
    approved_by character varying(254) NOT NULL,
    began_at timestamp with time zone,
    done_at timestamp with time zone,
    cursor bigint NOT NULL,
    holders bigint NOT NULL,
    shares bigint NOT NULL,
    cash numeric(19,4) NOT NULL,
    CONSTRAINT corporate_action_has_its_terms CHECK ((((amount_per_share > (0)::numeric) AND (amount_per_share IS NOT NULL) AND ((kind)::text = 'CASH_DIVIDEND'::text) AND (pay_date IS NOT NULL)) OR (((kind)::text = 'SPLIT'::text) AND (numerator > 0) AND (numerator IS NOT NULL) AND (denominator > 0) AND (denominator IS NOT NULL)) OR (((kind)::text = 'TICKER_CHANGE'::text) AND (NOT ((new_ticker)::text = ''::text))) OR ((kind)::text = 'DELISTING'::text)))
);
CREATE TABLE public.trades_daytotal (
    id bigint NOT NULL,
    day date NOT NULL,
    account character varying(12) NOT NULL,
    part character varying(20) NOT NULL,
    amount numeric(28,4) NOT NULL
);
ALTER TABLE public.trades_daytotal ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_daytotal_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_entitlement (
    id uuid NOT NULL,
    shares bigint NOT NULL,
    shares_after bigint NOT NULL,
    cash numeric(19,4) NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    action_id uuid NOT NULL,
    customer_id bigint NOT NULL,
    xact bigint,
    event bigint,
    cost numeric(19,4)
);
CREATE TABLE public.trades_feerate (
    id bigint NOT NULL,
    kind character varying(4) NOT NULL,
    first_day date NOT NULL,
    last_day date,
    per_usd numeric(14,12) NOT NULL,
    per_share numeric(14,12) NOT NULL,
    maximum numeric(19,4),
    source character varying(500) NOT NULL,
    by character varying(80) NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    CONSTRAINT fee_rate_makes_sense CHECK ((((kind)::text = ANY ((ARRAY['sec'::character varying, 'taf'::character varying, 'cat'::character varying])::text[])) AND (per_share >= (0)::numeric) AND (per_usd >= (0)::numeric) AND (per_usd < (1)::numeric) AND ((maximum IS NULL) OR (maximum > (0)::numeric)) AND ((last_day IS NULL) OR (last_day >= first_day)) AND (NOT ((source)::text = ''::text))))
);
ALTER TABLE public.trades_feerate ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_feerate_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_report (
    id bigint NOT NULL,
    trade_id uuid,
    customer_id bigint,
    digest bytea NOT NULL,
    body text NOT NULL,
    source character varying(8) NOT NULL,
    received_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    outcome character varying(13) NOT NULL,
    reason character varying(500) CONSTRAINT trades_report_why_not_null NOT NULL,
    handled_at timestamp with time zone,
    CONSTRAINT report_is_of_a_kind CHECK ((((source)::text = ANY ((ARRAY['callback'::character varying, 'answer'::character varying, 'sweep'::character varying, 'staff'::character varying])::text[])) AND ((outcome)::text = ANY ((ARRAY['waiting'::character varying, 'settled'::character varying, 'agrees'::character varying, 'contradicts'::character varying, 'breaks_terms'::character varying, 'malformed'::character varying, 'unknown_trade'::character varying])::text[]))))
)
WITH (autovacuum_vacuum_scale_factor='0.02');
ALTER TABLE public.trades_report ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_report_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_staffreport (
    id bigint NOT NULL,
    status character varying(11) NOT NULL,
    price numeric(19,4),
    reason character varying(500) NOT NULL,
    entered_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    approved boolean,
    decided_at timestamp with time zone,
    decided_by_id bigint,
    entered_by_id bigint NOT NULL,
    trade_id uuid NOT NULL,
    CONSTRAINT staff_report_has_its_price CHECK ((((price > (0)::numeric) AND (price IS NOT NULL) AND ((status)::text = 'FILLED'::text)) OR ((price IS NULL) AND ((status)::text = 'REJECTED'::text)))),
    CONSTRAINT staff_report_is_decided_by_somebody CHECK ((((approved IS NULL) AND (decided_at IS NULL) AND (decided_by_id IS NULL)) OR ((approved IS NOT NULL) AND (decided_at IS NOT NULL) AND (decided_by_id IS NOT NULL)))),
    CONSTRAINT staff_report_needs_two CHECK ((NOT ((decided_by_id = entered_by_id) AND (decided_by_id IS NOT NULL))))
);
ALTER TABLE public.trades_staffreport ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_staffreport_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_statuschange (
    id bigint NOT NULL,
    from_status character varying(11) NOT NULL,
    to_status character varying(11) NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    reason character varying(500) CONSTRAINT trades_statuschange_why_not_null NOT NULL,
    by character varying(80) NOT NULL,
    trade_id uuid NOT NULL,
    customer_id bigint NOT NULL,
    xact bigint DEFAULT ((pg_current_xact_id())::text)::bigint NOT NULL
);
ALTER TABLE public.trades_statuschange ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_statuschange_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.trades_trade (
    id uuid NOT NULL,
    sequence bigint NOT NULL,
    ticker character varying(12) NOT NULL,
    type character varying(4) NOT NULL,
    quantity bigint NOT NULL,
    idempotency_key character varying(128),
    placed_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    status character varying(11) NOT NULL,
    max_price numeric(19,4),
    expires_at timestamp with time zone,
    claimed_at timestamp with time zone,
    ask_at timestamp with time zone,
    price numeric(19,4),
    amount numeric(19,4),
    reason_code character varying(32) NOT NULL,
    settled_at timestamp with time zone,
    customer_id bigint NOT NULL,
    unanswered smallint DEFAULT 0 NOT NULL,
    collar numeric(5,4),
    last_price numeric(19,4),
    executed_at timestamp with time zone,
    settles_on date,
    queued_at timestamp with time zone,
    when_closed character varying(6) DEFAULT 'reject'::character varying NOT NULL,
    lot_method character varying(12),
    fees jsonb,
    time_in_force character varying(3),
    placed_as character varying(12),
    CONSTRAINT collar_has_its_price CHECK ((((collar IS NULL) AND (last_price IS NULL)) OR ((claimed_at IS NOT NULL) AND ((type)::text = 'BUY'::text) AND (collar >= (0)::numeric) AND (collar IS NOT NULL) AND (last_price > (0)::numeric) AND (last_price IS NOT NULL)))),
    CONSTRAINT queued_trade_may_wait CHECK ((((when_closed)::text = 'queue'::text) OR ((queued_at IS NULL) AND ((when_closed)::text = 'reject'::text)))),
    CONSTRAINT trade_has_terms CHECK (((quantity > 0) AND (sequence > 0) AND ((type)::text = ANY ((ARRAY['BUY'::character varying, 'SELL'::character varying])::text[])) AND (NOT ((ticker)::text = ''::text)))),
    CONSTRAINT trade_is_as_its_status_says CHECK ((((claimed_at IS NULL) AND ((status)::text = 'PLACED'::text) AND (amount IS NULL) AND (price IS NULL) AND ((reason_code)::text = ''::text) AND (settled_at IS NULL)) OR ((amount IS NULL) AND (price IS NULL) AND ((reason_code)::text = ''::text) AND (settled_at IS NULL) AND ((status)::text = 'IN PROGRESS'::text) AND (ask_at IS NOT NULL) AND (claimed_at IS NOT NULL) AND (expires_at IS NOT NULL) AND (((max_price IS NULL) AND ((type)::text = 'SELL'::text)) OR ((max_price > (0)::numeric) AND (max_price IS NOT NULL) AND ((type)::text = 'BUY'::text)))) OR ((claimed_at IS NOT NULL) AND ((reason_code)::text = ''::text) AND (settled_at IS NOT NULL) AND ((status)::text = 'FILLED'::text) AND (amount > (0)::numeric) AND (amount IS NOT NULL) AND (price > (0)::numeric) AND (price IS NOT NULL) AND (((type)::text = 'SELL'::text) OR ((amount <= max_price) AND (max_price IS NOT NULL)))) OR ((amount IS NULL) AND (price IS NULL) AND (settled_at IS NOT NULL) AND ((status)::text = 'REJECTED'::text) AND ((reason_code)::text = ANY ((ARRAY['insufficient_funds'::character varying, 'unsettled_funds'::character varying, 'insufficient_shares'::character varying, 'past_market_hours'::character varying, 'price_moved'::character varying, 'corporate_action'::character varying, 'exchange_error'::character varying, 'unknown_ticker'::character varying, 'ticker_halted'::character varying, 'expired'::character varying, 'cancelled'::character varying])::text[])))))
)
WITH (autovacuum_vacuum_scale_factor='0.02');
CREATE TABLE public.trades_tradecounter (
    customer_id bigint NOT NULL,
    last bigint NOT NULL,
    xact bigint DEFAULT 0 NOT NULL,
    placed_at timestamp with time zone
)
WITH (fillfactor='80', autovacuum_vacuum_scale_factor='0.02');
CREATE TABLE public.trades_trademail (
    customer_id bigint NOT NULL,
    xact bigint NOT NULL,
    first bigint NOT NULL,
    last bigint NOT NULL,
    due_at timestamp with time zone,
    mailed_at timestamp with time zone
);
CREATE TABLE public.trades_tradingcontrol (
    id bigint NOT NULL,
    kind character varying(24) NOT NULL,
    ticker character varying(12) NOT NULL,
    is_on boolean NOT NULL,
    value numeric(19,4),
    reason character varying(500) CONSTRAINT trades_tradingcontrol_why_not_null NOT NULL,
    at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    by_id bigint NOT NULL,
    customer_id bigint,
    CONSTRAINT control_has_its_subject CHECK ((((customer_id IS NULL) AND ((kind)::text = 'halt_all'::text) AND ((ticker)::text = ''::text)) OR ((customer_id IS NOT NULL) AND ((kind)::text = 'halt_customer'::text) AND ((ticker)::text = ''::text)) OR ((customer_id IS NULL) AND ((kind)::text = ANY ((ARRAY['halt_ticker'::character varying, 'restrict_ticker'::character varying])::text[])) AND (NOT ((ticker)::text = ''::text))) OR (((kind)::text = ANY ((ARRAY['shares_max'::character varying, 'notional_max'::character varying, 'orders_a_minute_max'::character varying])::text[])) AND ((ticker)::text = ''::text)))),
    CONSTRAINT control_has_its_value CHECK (((((kind)::text = ANY ((ARRAY['shares_max'::character varying, 'notional_max'::character varying, 'orders_a_minute_max'::character varying])::text[])) AND is_on AND (value > (0)::numeric) AND (value IS NOT NULL)) OR ((NOT is_on) AND (value IS NULL)) OR ((NOT ((kind)::text = ANY ((ARRAY['shares_max'::character varying, 'notional_max'::character varying, 'orders_a_minute_max'::character varying])::text[]))) AND (value IS NULL))))
);
ALTER TABLE public.trades_tradingcontrol ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.trades_tradingcontrol_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.usersessions_usersession (
    id bigint NOT NULL,
    created_at timestamp with time zone NOT NULL,
    ip inet NOT NULL,
    last_seen_at timestamp with time zone NOT NULL,
    session_key character varying(40) NOT NULL,
    user_agent character varying(200) NOT NULL,
    data jsonb NOT NULL,
    user_id bigint NOT NULL
);
ALTER TABLE public.usersessions_usersession ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.usersessions_usersession_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.webhooks_delivery (
    id bigint NOT NULL,
    event_id character varying(64) NOT NULL,
    type character varying(32) NOT NULL,
    body text NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    attempts integer NOT NULL,
    next_at timestamp with time zone DEFAULT statement_timestamp(),
    delivered_at timestamp with time zone,
    answer character varying(200) NOT NULL,
    webhook_id uuid NOT NULL
);
ALTER TABLE public.webhooks_delivery ALTER COLUMN id ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME public.webhooks_delivery_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE public.webhooks_webhook (
    id uuid NOT NULL,
    url character varying(500) NOT NULL,
    encrypted_secret text CONSTRAINT webhooks_webhook_secret_not_null NOT NULL,
    created_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    xact bigint NOT NULL,
    change bigint CONSTRAINT webhooks_webhook_move_not_null NOT NULL,
    customer_id bigint NOT NULL,
    slot smallint NOT NULL,
    token_id uuid,
    events character varying(32)[] NOT NULL,
    encrypted_previous_secret text NOT NULL,
    previous_secret_until timestamp with time zone,
    idempotency_key character varying(128),
    idempotency_digest character varying(64) NOT NULL,
    status character varying(8) NOT NULL,
    status_reason character varying(200) NOT NULL,
    status_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    entered_at timestamp with time zone DEFAULT statement_timestamp() NOT NULL,
    due_at timestamp with time zone,
    retry_at timestamp with time zone,
    leased_until timestamp with time zone,
    failures integer NOT NULL,
    failing_since timestamp with time zone
);
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_user_id_email_987c8728_uniq UNIQUE (user_id, email);
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirmation_key_key UNIQUE (key);
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirmation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_adjustment
    ADD CONSTRAINT accounts_adjustment_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_balance
    ADD CONSTRAINT accounts_balance_pkey PRIMARY KEY (customer_id);
ALTER TABLE ONLY public.accounts_closingprice
    ADD CONSTRAINT accounts_closingprice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_customer
    ADD CONSTRAINT accounts_customer_email_key UNIQUE (email);
ALTER TABLE ONLY public.accounts_customer_groups
    ADD CONSTRAINT accounts_customer_groups_customer_id_group_id_5d65b72b_uniq UNIQUE (customer_id, group_id);
ALTER TABLE ONLY public.accounts_customer_groups
    ADD CONSTRAINT accounts_customer_groups_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_customer
    ADD CONSTRAINT accounts_customer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_customer_user_permissions
    ADD CONSTRAINT accounts_customer_user_p_customer_id_permission_i_927fe894_uniq UNIQUE (customer_id, permission_id);
ALTER TABLE ONLY public.accounts_customer_user_permissions
    ADD CONSTRAINT accounts_customer_user_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_freeze
    ADD CONSTRAINT accounts_freeze_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_goodfaithviolation
    ADD CONSTRAINT accounts_goodfaithviolation_cause_key UNIQUE (cause);
ALTER TABLE ONLY public.accounts_goodfaithviolation
    ADD CONSTRAINT accounts_goodfaithviolation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_limits
    ADD CONSTRAINT accounts_limits_pkey PRIMARY KEY (customer_id);
ALTER TABLE ONLY public.accounts_lot
    ADD CONSTRAINT accounts_lot_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_lotclosing
    ADD CONSTRAINT accounts_lotclosing_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_mail
    ADD CONSTRAINT accounts_mail_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_mutednotice
    ADD CONSTRAINT accounts_mutednotice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_notice
    ADD CONSTRAINT accounts_notice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_noticeplace
    ADD CONSTRAINT accounts_noticeplace_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.accounts_position
    ADD CONSTRAINT accounts_position_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_posting
    ADD CONSTRAINT accounts_posting_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_signin
    ADD CONSTRAINT accounts_signin_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_token
    ADD CONSTRAINT accounts_token_key_id_key UNIQUE (key_id);
ALTER TABLE ONLY public.accounts_token
    ADD CONSTRAINT accounts_token_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_token
    ADD CONSTRAINT accounts_token_token_hash_key UNIQUE (token_hash);
ALTER TABLE ONLY public.accounts_transfer
    ADD CONSTRAINT accounts_transfer_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.accounts_watchlist
    ADD CONSTRAINT accounts_watchlist_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.alpaca_api_configuration
    ADD CONSTRAINT alpaca_api_configuration_pkey PRIMARY KEY (customer_id);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_name_key UNIQUE (name);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_permission_id_0cd325b0_uniq UNIQUE (group_id, permission_id);
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_group
    ADD CONSTRAINT auth_group_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_codename_01ab375a_uniq UNIQUE (content_type_id, codename);
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_app_label_model_76bd3d3b_uniq UNIQUE (app_label, model);
ALTER TABLE ONLY public.django_content_type
    ADD CONSTRAINT django_content_type_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_migrations
    ADD CONSTRAINT django_migrations_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.django_session
    ADD CONSTRAINT django_session_pkey PRIMARY KEY (session_key);
ALTER TABLE ONLY public.trades_statuschange
    ADD CONSTRAINT each_status_once UNIQUE (trade_id, to_status);
ALTER TABLE ONLY public.exchange_call
    ADD CONSTRAINT exchange_call_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exchange_clockskew
    ADD CONSTRAINT exchange_clockskew_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exchange_closure
    ADD CONSTRAINT exchange_closure_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exchange_shortlist
    ADD CONSTRAINT exchange_shortlist_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.exchange_stock
    ADD CONSTRAINT exchange_stock_pkey PRIMARY KEY (ticker);
ALTER TABLE ONLY public.mfa_authenticator
    ADD CONSTRAINT mfa_authenticator_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_auditentry
    ADD CONSTRAINT office_auditentry_pkey PRIMARY KEY (number);
ALTER TABLE ONLY public.office_audithead
    ADD CONSTRAINT office_audithead_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_case
    ADD CONSTRAINT office_case_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_columnchoice
    ADD CONSTRAINT office_columnchoice_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_dailyreport
    ADD CONSTRAINT office_dailyreport_pkey PRIMARY KEY (day);
ALTER TABLE ONLY public.office_job
    ADD CONSTRAINT office_duty_pkey PRIMARY KEY (name);
ALTER TABLE ONLY public.office_heartbeat
    ADD CONSTRAINT office_heartbeat_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_note
    ADD CONSTRAINT office_note_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_proof
    ADD CONSTRAINT office_proof_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_proposal
    ADD CONSTRAINT office_proposal_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_reconciliation
    ADD CONSTRAINT office_reconciliation_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_savedfilter
    ADD CONSTRAINT office_savedfilter_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.office_case
    ADD CONSTRAINT one_case_a_subject UNIQUE (kind, key);
ALTER TABLE ONLY public.office_columnchoice
    ADD CONSTRAINT one_choice_a_table UNIQUE (staff_id, "table");
ALTER TABLE ONLY public.accounts_lotclosing
    ADD CONSTRAINT one_closing_a_cause UNIQUE (lot_id, cause);
ALTER TABLE ONLY public.accounts_closingprice
    ADD CONSTRAINT one_closing_price UNIQUE (day, ticker);
ALTER TABLE ONLY public.exchange_closure
    ADD CONSTRAINT one_closure_a_day_and_source UNIQUE (day, source);
ALTER TABLE ONLY public.webhooks_delivery
    ADD CONSTRAINT one_delivery_an_event UNIQUE (webhook_id, event_id);
ALTER TABLE ONLY public.trades_entitlement
    ADD CONSTRAINT one_entitlement UNIQUE (action_id, customer_id);
ALTER TABLE ONLY public.office_savedfilter
    ADD CONSTRAINT one_filter_a_name UNIQUE (staff_id, "table", name);
ALTER TABLE ONLY public.accounts_mutednotice
    ADD CONSTRAINT one_mute_a_kind UNIQUE (customer_id, kind);
ALTER TABLE ONLY public.accounts_notice
    ADD CONSTRAINT one_notice_a_cause UNIQUE (customer_id, kind, cause);
ALTER TABLE ONLY public.accounts_position
    ADD CONSTRAINT one_position_a_stock UNIQUE (customer_id, ticker);
ALTER TABLE ONLY public.accounts_posting
    ADD CONSTRAINT one_posting_a_cause UNIQUE (cause, kind, ticker);
ALTER TABLE ONLY public.trades_daytotal
    ADD CONSTRAINT one_total_a_day UNIQUE (day, account, part);
ALTER TABLE ONLY public.accounts_transfer
    ADD CONSTRAINT one_transfer_a_key UNIQUE (customer_id, idempotency_key);
ALTER TABLE ONLY public.accounts_watchlist
    ADD CONSTRAINT one_watchlist_of_a_name UNIQUE (customer_id, name);
ALTER TABLE ONLY public.webhooks_webhook
    ADD CONSTRAINT one_webhook_a_key UNIQUE (customer_id, idempotency_key);
ALTER TABLE ONLY public.webhooks_webhook
    ADD CONSTRAINT one_webhook_a_slot UNIQUE (customer_id, slot);
ALTER TABLE ONLY public.trades_trade
    ADD CONSTRAINT trade_has_its_place_in_line UNIQUE (customer_id, sequence);
ALTER TABLE ONLY public.trades_corporateaction
    ADD CONSTRAINT trades_corporateaction_announcement_key UNIQUE (announcement);
ALTER TABLE ONLY public.trades_corporateaction
    ADD CONSTRAINT trades_corporateaction_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_corporateaction
    ADD CONSTRAINT trades_corporateaction_sequence_key UNIQUE (sequence);
ALTER TABLE ONLY public.trades_daytotal
    ADD CONSTRAINT trades_daytotal_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_entitlement
    ADD CONSTRAINT trades_entitlement_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_feerate
    ADD CONSTRAINT trades_feerate_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_report
    ADD CONSTRAINT trades_report_digest_key UNIQUE (digest);
ALTER TABLE ONLY public.trades_report
    ADD CONSTRAINT trades_report_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_staffreport
    ADD CONSTRAINT trades_staffreport_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_trade
    ADD CONSTRAINT trades_trade_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.trades_tradecounter
    ADD CONSTRAINT trades_tradecounter_pkey PRIMARY KEY (customer_id);
ALTER TABLE ONLY public.trades_trademail
    ADD CONSTRAINT trades_trademail_pkey PRIMARY KEY (customer_id);
ALTER TABLE ONLY public.trades_tradingcontrol
    ADD CONSTRAINT trades_tradingcontrol_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_usersession_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_usersession_session_key_key UNIQUE (session_key);
ALTER TABLE ONLY public.webhooks_delivery
    ADD CONSTRAINT webhooks_delivery_pkey PRIMARY KEY (id);
ALTER TABLE ONLY public.webhooks_webhook
    ADD CONSTRAINT webhooks_webhook_pkey PRIMARY KEY (id);
CREATE INDEX account_emailaddress_email_03be32b2 ON public.account_emailaddress USING btree (email);
CREATE INDEX account_emailaddress_email_03be32b2_like ON public.account_emailaddress USING btree (email varchar_pattern_ops);
CREATE INDEX account_emailaddress_user_id_2c513194 ON public.account_emailaddress USING btree (user_id);
CREATE INDEX account_emailconfirmation_email_address_id_5b7f8c58 ON public.account_emailconfirmation USING btree (email_address_id);
CREATE INDEX account_emailconfirmation_key_f43612bd_like ON public.account_emailconfirmation USING btree (key varchar_pattern_ops);
CREATE INDEX accounts_adjustment_asked_by_id_b4ea0219 ON public.accounts_adjustment USING btree (asked_by_id);
CREATE INDEX accounts_adjustment_customer_id_3d6af385 ON public.accounts_adjustment USING btree (customer_id);
CREATE INDEX accounts_adjustment_decided_by_id_4de9b081 ON public.accounts_adjustment USING btree (decided_by_id);
CREATE INDEX accounts_customer_email_496ee6f7_like ON public.accounts_customer USING btree (email varchar_pattern_ops);
CREATE INDEX accounts_customer_groups_customer_id_c2d5e358 ON public.accounts_customer_groups USING btree (customer_id);
CREATE INDEX accounts_customer_groups_group_id_7c230d03 ON public.accounts_customer_groups USING btree (group_id);
CREATE INDEX accounts_customer_user_permissions_customer_id_701aa82b ON public.accounts_customer_user_permissions USING btree (customer_id);
CREATE INDEX accounts_customer_user_permissions_permission_id_9c8a5ef6 ON public.accounts_customer_user_permissions USING btree (permission_id);
CREATE INDEX accounts_freeze_by_id_fae752c9 ON public.accounts_freeze USING btree (by_id);
CREATE INDEX accounts_noticeplace_name_6626c0e1_like ON public.accounts_noticeplace USING btree (name varchar_pattern_ops);
CREATE INDEX accounts_token_customer_id_e31222a8 ON public.accounts_token USING btree (customer_id);
CREATE INDEX accounts_token_key_id_abff2b8f_like ON public.accounts_token USING btree (key_id varchar_pattern_ops);
CREATE INDEX accounts_token_token_hash_f1690503_like ON public.accounts_token USING btree (token_hash varchar_pattern_ops);
CREATE INDEX accounts_transfer_customer_id_c5ba878a ON public.accounts_transfer USING btree (customer_id);
CREATE INDEX adjustments_waiting ON public.accounts_adjustment USING btree (asked_at) WHERE (approved IS NULL);
CREATE INDEX audit_of_customer ON public.office_auditentry USING btree (customer_id, number DESC);
CREATE INDEX audit_of_staff ON public.office_auditentry USING btree (staff_id, number DESC);
CREATE INDEX audit_of_trade ON public.office_auditentry USING btree (trade_id, number DESC) WHERE (trade_id IS NOT NULL);
CREATE INDEX auth_group_name_a6ea08ec_like ON public.auth_group USING btree (name varchar_pattern_ops);
CREATE INDEX auth_group_permissions_group_id_b120cbf9 ON public.auth_group_permissions USING btree (group_id);
CREATE INDEX auth_group_permissions_permission_id_84c5c92e ON public.auth_group_permissions USING btree (permission_id);
CREATE INDEX auth_permission_content_type_id_2f476e4b ON public.auth_permission USING btree (content_type_id);
CREATE INDEX calls_about_trade ON public.exchange_call USING gin (trade_ids);
CREATE INDEX calls_by_time ON public.exchange_call USING btree (at DESC);
CREATE INDEX cases_of_trade ON public.office_case USING btree (trade_id) WHERE (trade_id IS NOT NULL);
CREATE INDEX closings_of_customer ON public.accounts_lotclosing USING btree (customer_id, closed_on, id);
CREATE INDEX closings_of_stock ON public.accounts_lotclosing USING btree (customer_id, ticker, closed_on, id);
CREATE INDEX corporate_actions_to_apply ON public.trades_corporateaction USING btree (ex_date) WHERE ((state)::text = ANY ((ARRAY['approved'::character varying, 'applying'::character varying])::text[]));
CREATE INDEX customers_by_name ON public.accounts_customer USING gin (to_tsvector('simple'::regconfig, (COALESCE(name, ''::character varying))::text));
CREATE INDEX deliveries_given_up ON public.webhooks_delivery USING btree (webhook_id) WHERE ((delivered_at IS NULL) AND (next_at IS NULL));
CREATE INDEX deliveries_of_webhook ON public.webhooks_delivery USING btree (webhook_id, id DESC);
CREATE INDEX deliveries_waiting ON public.webhooks_delivery USING btree (webhook_id, next_at) WHERE (next_at IS NOT NULL);
CREATE INDEX django_admin_log_content_type_id_c4bce8eb ON public.django_admin_log USING btree (content_type_id);
CREATE INDEX django_admin_log_user_id_c564eba6 ON public.django_admin_log USING btree (user_id);
CREATE INDEX django_session_expire_date_a5c62663 ON public.django_session USING btree (expire_date);
CREATE INDEX django_session_session_key_c0390e0f_like ON public.django_session USING btree (session_key varchar_pattern_ops);
CREATE INDEX events_of_customer ON public.trades_statuschange USING btree (customer_id, xact) WITH (deduplicate_items=off);
CREATE INDEX exchange_stock_ticker_dd196a77_like ON public.exchange_stock USING btree (ticker varchar_pattern_ops);
CREATE INDEX feed_of_entitlements ON public.trades_entitlement USING btree (customer_id, xact, event);
CREATE INDEX final_by_ticker ON public.trades_trade USING btree (customer_id, status, ticker, type, sequence) WHERE ((status)::text = ANY ((ARRAY['FILLED'::character varying, 'REJECTED'::character varying])::text[]));
CREATE INDEX final_by_type ON public.trades_trade USING btree (customer_id, status, type, sequence) WHERE ((status)::text = ANY ((ARRAY['FILLED'::character varying, 'REJECTED'::character varying])::text[]));
CREATE INDEX freezes_of_customer ON public.accounts_freeze USING btree (customer_id, id DESC);
CREATE INDEX holders_of_stock ON public.accounts_position USING btree (ticker, customer_id);
CREATE INDEX lots_of_stock ON public.accounts_lot USING btree (customer_id, ticker, acquired_on);
CREATE INDEX mails_due ON public.accounts_mail USING btree (is_urgent DESC, due_at);
CREATE INDEX mfa_authenticator_user_id_0c3a50c0 ON public.mfa_authenticator USING btree (user_id);
CREATE INDEX notes_of_customer ON public.office_note USING btree (customer_id, id DESC);
CREATE INDEX notices_due ON public.accounts_notice USING btree (due_at) WHERE (sent_at IS NULL);
CREATE INDEX office_case_closed_by_id_19362158 ON public.office_case USING btree (closed_by_id);
CREATE INDEX office_case_customer_id_c8e59814 ON public.office_case USING btree (customer_id);
CREATE INDEX office_case_owner_id_a00d0070 ON public.office_case USING btree (owner_id);
CREATE INDEX office_duty_name_cc6e30bd_like ON public.office_job USING btree (name varchar_pattern_ops);
CREATE INDEX office_note_by_id_13f6906b ON public.office_note USING btree (by_id);
CREATE INDEX office_proposal_asked_by_id_5c8d3d19 ON public.office_proposal USING btree (asked_by_id);
CREATE INDEX office_proposal_decided_by_id_c279a83e ON public.office_proposal USING btree (decided_by_id);
CREATE UNIQUE INDEX one_default_watchlist ON public.accounts_watchlist USING btree (customer_id) WHERE is_default;
CREATE UNIQUE INDEX one_short_list_at_a_time ON public.exchange_shortlist USING btree ((1)) WHERE (ended_at IS NULL);
CREATE UNIQUE INDEX one_staff_report_waits ON public.trades_staffreport USING btree (trade_id) WHERE (approved IS NULL);
CREATE UNIQUE INDEX one_token_a_key ON public.accounts_token USING btree (customer_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE UNIQUE INDEX one_trade_a_key ON public.trades_trade USING btree (customer_id, idempotency_key) WHERE (idempotency_key IS NOT NULL);
CREATE UNIQUE INDEX one_trade_in_flight ON public.trades_trade USING btree (customer_id) WHERE ((status)::text = 'IN PROGRESS'::text);
CREATE INDEX open_cases ON public.office_case USING btree (found_at) WHERE (closed_at IS NULL);
CREATE INDEX open_lots ON public.accounts_lot USING btree (customer_id, ticker, acquired_on, id) WHERE (remaining > 0);
CREATE INDEX placed_in_line ON public.trades_trade USING btree (customer_id, sequence) WHERE ((status)::text = 'PLACED'::text);
CREATE INDEX placed_not_queued ON public.trades_trade USING btree (placed_at) INCLUDE (customer_id) WHERE ((queued_at IS NULL) AND ((status)::text = 'PLACED'::text));
CREATE INDEX postings_of_customer ON public.accounts_posting USING btree (customer_id, id DESC);
CREATE INDEX proposals_waiting ON public.office_proposal USING btree (asked_at) WHERE (approved IS NULL);
CREATE INDEX queued_customers ON public.trades_trade USING btree (customer_id) WHERE ((queued_at IS NOT NULL) AND ((status)::text = 'PLACED'::text));
CREATE INDEX rejected_by_reason ON public.trades_trade USING btree (reason_code, id DESC) WHERE (NOT ((reason_code)::text = ''::text));
CREATE INDEX reports_for_a_person ON public.trades_report USING btree (id) WHERE ((outcome)::text = ANY ((ARRAY['breaks_terms'::character varying, 'contradicts'::character varying, 'malformed'::character varying, 'unknown_trade'::character varying])::text[]));
CREATE INDEX reports_of_trade ON public.trades_report USING btree (trade_id);
CREATE INDEX reports_waiting ON public.trades_report USING btree (customer_id, received_at) WHERE ((outcome)::text = 'waiting'::text);
CREATE INDEX sales_by_settlement ON public.accounts_posting USING btree (customer_id, settles_on) WHERE (((kind)::text = ANY ((ARRAY['sell'::character varying, 'fee'::character varying])::text[])) AND ((ticker)::text = ''::text));
CREATE INDEX sign_ins_of_customer ON public.accounts_signin USING btree (customer_id, id DESC);
CREATE INDEX status_changes_by_id ON public.trades_statuschange USING brin (id) WITH (autosummarize='on');
CREATE INDEX trade_mails_due ON public.trades_trademail USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX trades_corporateaction_announcement_0a9a4fdd_like ON public.trades_corporateaction USING btree (announcement varchar_pattern_ops);
CREATE INDEX trades_staffreport_decided_by_id_5cfea709 ON public.trades_staffreport USING btree (decided_by_id);
CREATE INDEX trades_staffreport_entered_by_id_e4d24dd5 ON public.trades_staffreport USING btree (entered_by_id);
CREATE INDEX trades_staffreport_trade_id_2bb893d5 ON public.trades_staffreport USING btree (trade_id);
CREATE INDEX trades_tradingcontrol_by_id_44464194 ON public.trades_tradingcontrol USING btree (by_id);
CREATE INDEX trades_tradingcontrol_customer_id_207d46f0 ON public.trades_tradingcontrol USING btree (customer_id);
CREATE INDEX undated_postings ON public.accounts_posting USING btree (customer_id) WHERE (settles_on IS NULL);
CREATE UNIQUE INDEX unique_authenticator_type ON public.mfa_authenticator USING btree (user_id, type) WHERE ((type)::text = ANY ((ARRAY['totp'::character varying, 'recovery_codes'::character varying])::text[]));
CREATE UNIQUE INDEX unique_primary_email ON public.account_emailaddress USING btree (user_id, "primary") WHERE "primary";
CREATE UNIQUE INDEX unique_verified_email ON public.account_emailaddress USING btree (email) WHERE verified;
CREATE INDEX usersessions_usersession_session_key_fd35de43_like ON public.usersessions_usersession USING btree (session_key varchar_pattern_ops);
CREATE INDEX usersessions_usersession_user_id_af5e0a6d ON public.usersessions_usersession USING btree (user_id);
CREATE INDEX violations_of_customer ON public.accounts_goodfaithviolation USING btree (customer_id, sold_on DESC);
CREATE INDEX webhooks_due ON public.webhooks_webhook USING btree (due_at) WHERE (due_at IS NOT NULL);
CREATE INDEX webhooks_webhook_token_id_24c94ab9 ON public.webhooks_webhook USING btree (token_id);
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_adjustment FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_balance FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_closingprice FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_freeze FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_goodfaithviolation FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_lot FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_lotclosing FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_position FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_posting FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_signin FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.accounts_transfer FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_auditentry FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_case FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_dailyreport FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_note FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_proof FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_proposal FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.office_reconciliation FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_corporateaction FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_daytotal FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_entitlement FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_feerate FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_report FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_staffreport FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_statuschange FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_trade FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_tradecounter FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER no_truncate BEFORE TRUNCATE ON public.trades_tradingcontrol FOR EACH STATEMENT EXECUTE FUNCTION public.no_truncate();
CREATE TRIGGER pgtrigger_adjustment_terms_stay_fcb70 BEFORE UPDATE ON public.accounts_adjustment FOR EACH ROW WHEN (((old.customer_id IS DISTINCT FROM new.customer_id) OR ((old.ticker)::text IS DISTINCT FROM (new.ticker)::text) OR (old.change IS DISTINCT FROM new.change) OR (old.price IS DISTINCT FROM new.price) OR ((old.reason_code)::text IS DISTINCT FROM (new.reason_code)::text) OR ((old.reason)::text IS DISTINCT FROM (new.reason)::text) OR (old.asked_by_id IS DISTINCT FROM new.asked_by_id))) EXECUTE FUNCTION public.pgtrigger_adjustment_terms_stay_fcb70();
CREATE TRIGGER pgtrigger_adjustments_stay_0595d BEFORE DELETE ON public.accounts_adjustment FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_adjustments_stay_0595d();
CREATE TRIGGER pgtrigger_audit_stays_e8ba4 BEFORE DELETE OR UPDATE ON public.office_auditentry FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_audit_stays_e8ba4();
CREATE TRIGGER pgtrigger_balances_stay_bec93 BEFORE DELETE ON public.accounts_balance FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_balances_stay_bec93();
CREATE TRIGGER pgtrigger_cases_stay_a35ca BEFORE DELETE ON public.office_case FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_cases_stay_a35ca();
CREATE TRIGGER pgtrigger_closing_prices_stay_83aaa BEFORE DELETE OR UPDATE ON public.accounts_closingprice FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_closing_prices_stay_83aaa();
CREATE TRIGGER pgtrigger_closings_stay_ab2fc BEFORE DELETE OR UPDATE ON public.accounts_lotclosing FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_closings_stay_ab2fc();
CREATE TRIGGER pgtrigger_controls_stay_1b039 BEFORE DELETE OR UPDATE ON public.trades_tradingcontrol FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_controls_stay_1b039();
CREATE TRIGGER pgtrigger_corporate_action_terms_stay_82a31 BEFORE UPDATE ON public.trades_corporateaction FOR EACH ROW WHEN (((old.amount_per_share IS DISTINCT FROM new.amount_per_share) OR (old.denominator IS DISTINCT FROM new.denominator) OR (old.ex_date IS DISTINCT FROM new.ex_date) OR ((old.kind)::text IS DISTINCT FROM (new.kind)::text) OR ((old.new_ticker)::text IS DISTINCT FROM (new.new_ticker)::text) OR (old.numerator IS DISTINCT FROM new.numerator) OR (old.pay_date IS DISTINCT FROM new.pay_date) OR ((old.ticker)::text IS DISTINCT FROM (new.ticker)::text))) EXECUTE FUNCTION public.pgtrigger_corporate_action_terms_stay_82a31();
CREATE TRIGGER pgtrigger_corporate_actions_stay_b62b1 BEFORE DELETE ON public.trades_corporateaction FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_corporate_actions_stay_b62b1();
CREATE TRIGGER pgtrigger_counters_count_up_b453c BEFORE UPDATE ON public.trades_tradecounter FOR EACH ROW WHEN ((new.last <= old.last)) EXECUTE FUNCTION public.pgtrigger_counters_count_up_b453c();
CREATE TRIGGER pgtrigger_counters_stay_98aa9 BEFORE DELETE ON public.trades_tradecounter FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_counters_stay_98aa9();
CREATE TRIGGER pgtrigger_day_totals_stay_aeaff BEFORE DELETE OR UPDATE ON public.trades_daytotal FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_day_totals_stay_aeaff();
CREATE TRIGGER pgtrigger_decided_adjustments_stay_f4868 BEFORE UPDATE ON public.accounts_adjustment FOR EACH ROW WHEN ((NOT (old.approved IS NULL))) EXECUTE FUNCTION public.pgtrigger_decided_adjustments_stay_f4868();
CREATE TRIGGER pgtrigger_decided_proposals_stay_063d5 BEFORE UPDATE ON public.office_proposal FOR EACH ROW WHEN (((NOT (old.approved IS NULL)) AND (NOT ((old.result)::text = ''::text)))) EXECUTE FUNCTION public.pgtrigger_decided_proposals_stay_063d5();
CREATE TRIGGER pgtrigger_decided_staff_reports_stay_353a6 BEFORE UPDATE ON public.trades_staffreport FOR EACH ROW WHEN ((old.approved IS NOT NULL)) EXECUTE FUNCTION public.pgtrigger_decided_staff_reports_stay_353a6();
CREATE TRIGGER pgtrigger_ended_corporate_actions_stay_6d186 BEFORE UPDATE ON public.trades_corporateaction FOR EACH ROW WHEN (((old.state)::text = ANY ((ARRAY['done'::character varying, 'declined'::character varying])::text[]))) EXECUTE FUNCTION public.pgtrigger_ended_corporate_actions_stay_6d186();
CREATE TRIGGER pgtrigger_entitlements_stay_75a8f BEFORE DELETE OR UPDATE ON public.trades_entitlement FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_entitlements_stay_75a8f();
CREATE TRIGGER pgtrigger_fee_rates_stay_f0bd2 BEFORE DELETE OR UPDATE ON public.trades_feerate FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_fee_rates_stay_f0bd2();
CREATE TRIGGER pgtrigger_final_trades_stay_0f1f4 BEFORE UPDATE ON public.trades_trade FOR EACH ROW WHEN (((old.status)::text = ANY ((ARRAY['FILLED'::character varying, 'REJECTED'::character varying])::text[]))) EXECUTE FUNCTION public.pgtrigger_final_trades_stay_0f1f4();
CREATE TRIGGER pgtrigger_freezes_stay_b6a4c BEFORE DELETE OR UPDATE ON public.accounts_freeze FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_freezes_stay_b6a4c();
CREATE TRIGGER pgtrigger_lifted_restrictions_stay_4e9ec BEFORE UPDATE ON public.accounts_goodfaithviolation FOR EACH ROW WHEN ((old.lifted_at IS NOT NULL)) EXECUTE FUNCTION public.pgtrigger_lifted_restrictions_stay_4e9ec();
CREATE TRIGGER pgtrigger_lots_are_kept_1a808 BEFORE DELETE ON public.accounts_lot FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_lots_are_kept_1a808();
CREATE TRIGGER pgtrigger_lots_stay_0f032 BEFORE UPDATE ON public.accounts_lot FOR EACH ROW WHEN (((old.acquired_on IS DISTINCT FROM new.acquired_on) OR (old.cause IS DISTINCT FROM new.cause) OR (old.cost IS DISTINCT FROM new.cost) OR (old.customer_id IS DISTINCT FROM new.customer_id) OR (old.id IS DISTINCT FROM new.id) OR (old.origin IS DISTINCT FROM new.origin) OR (old.paid_with_until IS DISTINCT FROM new.paid_with_until) OR (old.quantity IS DISTINCT FROM new.quantity) OR ((old.ticker)::text IS DISTINCT FROM (new.ticker)::text))) EXECUTE FUNCTION public.pgtrigger_lots_stay_0f032();
CREATE TRIGGER pgtrigger_notes_stay_44c23 BEFORE DELETE OR UPDATE ON public.office_note FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_notes_stay_44c23();
CREATE TRIGGER pgtrigger_positions_stay_b3c26 BEFORE DELETE ON public.accounts_position FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_positions_stay_b3c26();
CREATE TRIGGER pgtrigger_postings_are_kept_a5d50 BEFORE DELETE ON public.accounts_posting FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_postings_are_kept_a5d50();
CREATE TRIGGER pgtrigger_postings_stay_b06b5 BEFORE UPDATE ON public.accounts_posting FOR EACH ROW WHEN (((old.cause IS DISTINCT FROM new.cause) OR (old.change IS DISTINCT FROM new.change) OR (old.created_at IS DISTINCT FROM new.created_at) OR (old.customer_id IS DISTINCT FROM new.customer_id) OR (old.id IS DISTINCT FROM new.id) OR ((old.kind)::text IS DISTINCT FROM (new.kind)::text) OR (old.price IS DISTINCT FROM new.price) OR ((old.ticker)::text IS DISTINCT FROM (new.ticker)::text) OR (old.total IS DISTINCT FROM new.total))) EXECUTE FUNCTION public.pgtrigger_postings_stay_b06b5();
CREATE TRIGGER pgtrigger_proofs_stay_70b71 BEFORE DELETE OR UPDATE ON public.office_proof FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_proofs_stay_70b71();
CREATE TRIGGER pgtrigger_proposals_stay_491ba BEFORE DELETE ON public.office_proposal FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_proposals_stay_491ba();
CREATE TRIGGER pgtrigger_reconciliations_stay_2470d BEFORE DELETE OR UPDATE ON public.office_reconciliation FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_reconciliations_stay_2470d();
CREATE TRIGGER pgtrigger_report_words_stay_159d8 BEFORE UPDATE ON public.trades_report FOR EACH ROW WHEN (((old.body IS DISTINCT FROM new.body) OR (old.trade_id IS DISTINCT FROM new.trade_id) OR (old.customer_id IS DISTINCT FROM new.customer_id) OR ((old.source)::text IS DISTINCT FROM (new.source)::text) OR (old.received_at IS DISTINCT FROM new.received_at) OR (old.digest IS DISTINCT FROM new.digest))) EXECUTE FUNCTION public.pgtrigger_report_words_stay_159d8();
CREATE TRIGGER pgtrigger_reports_of_days_stay_fe201 BEFORE DELETE OR UPDATE ON public.office_dailyreport FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_reports_of_days_stay_fe201();
CREATE TRIGGER pgtrigger_reports_stay_d7391 BEFORE DELETE ON public.trades_report FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_reports_stay_d7391();
CREATE TRIGGER pgtrigger_sent_terms_stay_895a7 BEFORE UPDATE ON public.trades_trade FOR EACH ROW WHEN ((((old.status)::text = 'IN PROGRESS'::text) AND ((old.max_price IS DISTINCT FROM new.max_price) OR (old.last_price IS DISTINCT FROM new.last_price) OR (old.collar IS DISTINCT FROM new.collar) OR (old.expires_at IS DISTINCT FROM new.expires_at) OR (old.claimed_at IS DISTINCT FROM new.claimed_at)))) EXECUTE FUNCTION public.pgtrigger_sent_terms_stay_895a7();
CREATE TRIGGER pgtrigger_settlement_dates_stay_5f030 BEFORE UPDATE ON public.accounts_posting FOR EACH ROW WHEN (((old.settles_on IS DISTINCT FROM new.settles_on) AND (old.settles_on IS NOT NULL))) EXECUTE FUNCTION public.pgtrigger_settlement_dates_stay_5f030();
CREATE TRIGGER pgtrigger_sign_ins_are_kept_a9fc4 BEFORE DELETE ON public.accounts_signin FOR EACH ROW WHEN ((old.at > (now() - '400 days'::interval))) EXECUTE FUNCTION public.pgtrigger_sign_ins_are_kept_a9fc4();
CREATE TRIGGER pgtrigger_sign_ins_stay_61a52 BEFORE UPDATE ON public.accounts_signin FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_sign_ins_stay_61a52();
CREATE TRIGGER pgtrigger_staff_reports_stay_d9d1c BEFORE DELETE ON public.trades_staffreport FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_staff_reports_stay_d9d1c();
CREATE TRIGGER pgtrigger_status_changes_stay_428e5 BEFORE DELETE OR UPDATE ON public.trades_statuschange FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_status_changes_stay_428e5();
CREATE TRIGGER pgtrigger_trade_terms_stay_7d3c2 BEFORE UPDATE ON public.trades_trade FOR EACH ROW WHEN (((old.customer_id IS DISTINCT FROM new.customer_id) OR (old.sequence IS DISTINCT FROM new.sequence) OR (((old.ticker)::text IS DISTINCT FROM (new.ticker)::text) AND ((new.placed_as IS NULL) OR (NOT ((old.status)::text = 'PLACED'::text)))) OR ((old.type)::text IS DISTINCT FROM (new.type)::text) OR (old.quantity IS DISTINCT FROM new.quantity) OR ((old.when_closed)::text IS DISTINCT FROM (new.when_closed)::text) OR ((old.time_in_force)::text IS DISTINCT FROM (new.time_in_force)::text) OR (old.placed_at IS DISTINCT FROM new.placed_at) OR ((old.idempotency_key)::text IS DISTINCT FROM (new.idempotency_key)::text))) EXECUTE FUNCTION public.pgtrigger_trade_terms_stay_7d3c2();
CREATE TRIGGER pgtrigger_trades_begin_placed_bf910 BEFORE INSERT ON public.trades_trade FOR EACH ROW WHEN ((NOT ((new.status)::text = 'PLACED'::text))) EXECUTE FUNCTION public.pgtrigger_trades_begin_placed_bf910();
CREATE TRIGGER pgtrigger_trades_go_forward_afd2d BEFORE UPDATE ON public.trades_trade FOR EACH ROW WHEN (((((new.status)::text = 'PLACED'::text) AND ((old.status)::text = 'IN PROGRESS'::text)) OR (((new.status)::text = 'FILLED'::text) AND ((old.status)::text = 'PLACED'::text)))) EXECUTE FUNCTION public.pgtrigger_trades_go_forward_afd2d();
CREATE TRIGGER pgtrigger_trades_stay_2d613 BEFORE DELETE ON public.trades_trade FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_trades_stay_2d613();
CREATE TRIGGER pgtrigger_transfers_stay_1e8ad BEFORE DELETE OR UPDATE ON public.accounts_transfer FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_transfers_stay_1e8ad();
CREATE TRIGGER pgtrigger_violations_are_kept_35fec BEFORE DELETE ON public.accounts_goodfaithviolation FOR EACH ROW EXECUTE FUNCTION public.pgtrigger_violations_are_kept_35fec();
CREATE TRIGGER pgtrigger_violations_stay_71aa1 BEFORE UPDATE ON public.accounts_goodfaithviolation FOR EACH ROW WHEN (((old.bought_on IS DISTINCT FROM new.bought_on) OR (old.cause IS DISTINCT FROM new.cause) OR (old.customer_id IS DISTINCT FROM new.customer_id) OR (old.id IS DISTINCT FROM new.id) OR (old.lot_id IS DISTINCT FROM new.lot_id) OR (old.number IS DISTINCT FROM new.number) OR (old.recorded_at IS DISTINCT FROM new.recorded_at) OR (old.restricts_until IS DISTINCT FROM new.restricts_until) OR (old.settles_on IS DISTINCT FROM new.settles_on) OR (old.sold_on IS DISTINCT FROM new.sold_on) OR ((old.ticker)::text IS DISTINCT FROM (new.ticker)::text))) EXECUTE FUNCTION public.pgtrigger_violations_stay_71aa1();
ALTER TABLE ONLY public.account_emailaddress
    ADD CONSTRAINT account_emailaddress_user_id_2c513194_fk_accounts_customer_id FOREIGN KEY (user_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.account_emailconfirmation
    ADD CONSTRAINT account_emailconfirm_email_address_id_5b7f8c58_fk_account_e FOREIGN KEY (email_address_id) REFERENCES public.account_emailaddress(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_adjustment
    ADD CONSTRAINT accounts_adjustment_asked_by_id_b4ea0219_fk_accounts_ FOREIGN KEY (asked_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_adjustment
    ADD CONSTRAINT accounts_adjustment_customer_id_3d6af385_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_adjustment
    ADD CONSTRAINT accounts_adjustment_decided_by_id_4de9b081_fk_accounts_ FOREIGN KEY (decided_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_balance
    ADD CONSTRAINT accounts_balance_customer_id_33599338_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_customer_groups
    ADD CONSTRAINT accounts_customer_gr_customer_id_c2d5e358_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_customer_groups
    ADD CONSTRAINT accounts_customer_groups_group_id_7c230d03_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_customer_user_permissions
    ADD CONSTRAINT accounts_customer_us_customer_id_701aa82b_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_customer_user_permissions
    ADD CONSTRAINT accounts_customer_us_permission_id_9c8a5ef6_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_freeze
    ADD CONSTRAINT accounts_freeze_by_id_fae752c9_fk_accounts_customer_id FOREIGN KEY (by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_freeze
    ADD CONSTRAINT accounts_freeze_customer_id_76bc6a1a_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_goodfaithviolation
    ADD CONSTRAINT accounts_goodfaithvi_customer_id_42a2ca20_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_goodfaithviolation
    ADD CONSTRAINT accounts_goodfaithvi_lifted_by_id_211cc102_fk_accounts_ FOREIGN KEY (lifted_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_goodfaithviolation
    ADD CONSTRAINT accounts_goodfaithviolation_lot_id_2dd89136_fk_accounts_lot_id FOREIGN KEY (lot_id) REFERENCES public.accounts_lot(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_limits
    ADD CONSTRAINT accounts_limits_customer_id_fdae4a7d_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_lot
    ADD CONSTRAINT accounts_lot_customer_id_10e387c0_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_lotclosing
    ADD CONSTRAINT accounts_lotclosing_customer_id_4220e18d_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_lotclosing
    ADD CONSTRAINT accounts_lotclosing_lot_id_7ea0092a_fk_accounts_lot_id FOREIGN KEY (lot_id) REFERENCES public.accounts_lot(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_mutednotice
    ADD CONSTRAINT accounts_mutednotice_customer_id_d063aaa0_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_notice
    ADD CONSTRAINT accounts_notice_customer_id_0d3800f0_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_position
    ADD CONSTRAINT accounts_position_customer_id_9d807af3_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_posting
    ADD CONSTRAINT accounts_posting_customer_id_78e03a8a_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_signin
    ADD CONSTRAINT accounts_signin_customer_id_d1fe1aa7_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_token
    ADD CONSTRAINT accounts_token_customer_id_e31222a8_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_transfer
    ADD CONSTRAINT accounts_transfer_customer_id_c5ba878a_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.accounts_watchlist
    ADD CONSTRAINT accounts_watchlist_customer_id_96aa5ace_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.alpaca_api_configuration
    ADD CONSTRAINT alpaca_api_configura_customer_id_c4a91d67_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissio_permission_id_84c5c92e_fk_auth_perm FOREIGN KEY (permission_id) REFERENCES public.auth_permission(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_group_permissions
    ADD CONSTRAINT auth_group_permissions_group_id_b120cbf9_fk_auth_group_id FOREIGN KEY (group_id) REFERENCES public.auth_group(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.auth_permission
    ADD CONSTRAINT auth_permission_content_type_id_2f476e4b_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_content_type_id_c4bce8eb_fk_django_co FOREIGN KEY (content_type_id) REFERENCES public.django_content_type(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.django_admin_log
    ADD CONSTRAINT django_admin_log_user_id_c564eba6_fk_accounts_customer_id FOREIGN KEY (user_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.mfa_authenticator
    ADD CONSTRAINT mfa_authenticator_user_id_0c3a50c0_fk_accounts_customer_id FOREIGN KEY (user_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_case
    ADD CONSTRAINT office_case_closed_by_id_19362158_fk_accounts_customer_id FOREIGN KEY (closed_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_case
    ADD CONSTRAINT office_case_customer_id_c8e59814_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_case
    ADD CONSTRAINT office_case_owner_id_a00d0070_fk_accounts_customer_id FOREIGN KEY (owner_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_columnchoice
    ADD CONSTRAINT office_columnchoice_staff_id_8d4203a0_fk_accounts_customer_id FOREIGN KEY (staff_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_note
    ADD CONSTRAINT office_note_by_id_13f6906b_fk_accounts_customer_id FOREIGN KEY (by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_note
    ADD CONSTRAINT office_note_customer_id_32eb54cd_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_proof
    ADD CONSTRAINT office_proof_earlier_id_0eb4a80c_fk_office_proof_id FOREIGN KEY (earlier_id) REFERENCES public.office_proof(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_proposal
    ADD CONSTRAINT office_proposal_asked_by_id_5c8d3d19_fk_accounts_customer_id FOREIGN KEY (asked_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_proposal
    ADD CONSTRAINT office_proposal_decided_by_id_c279a83e_fk_accounts_customer_id FOREIGN KEY (decided_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.office_savedfilter
    ADD CONSTRAINT office_savedfilter_staff_id_0b801ac5_fk_accounts_customer_id FOREIGN KEY (staff_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_entitlement
    ADD CONSTRAINT trades_entitlement_action_id_3d440ff9_fk_trades_co FOREIGN KEY (action_id) REFERENCES public.trades_corporateaction(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_entitlement
    ADD CONSTRAINT trades_entitlement_customer_id_08006720_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_staffreport
    ADD CONSTRAINT trades_staffreport_decided_by_id_5cfea709_fk_accounts_ FOREIGN KEY (decided_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_staffreport
    ADD CONSTRAINT trades_staffreport_entered_by_id_e4d24dd5_fk_accounts_ FOREIGN KEY (entered_by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_staffreport
    ADD CONSTRAINT trades_staffreport_trade_id_2bb893d5_fk_trades_trade_id FOREIGN KEY (trade_id) REFERENCES public.trades_trade(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_statuschange
    ADD CONSTRAINT trades_statuschange_trade_id_4f7d7451_fk_trades_trade_id FOREIGN KEY (trade_id) REFERENCES public.trades_trade(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_trade
    ADD CONSTRAINT trades_trade_customer_id_1b80b874_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_tradecounter
    ADD CONSTRAINT trades_tradecounter_customer_id_cf69f02e_fk_accounts_ FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_trademail
    ADD CONSTRAINT trades_trademail_customer_id_8491a665_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_tradingcontrol
    ADD CONSTRAINT trades_tradingcontrol_by_id_44464194_fk_accounts_customer_id FOREIGN KEY (by_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.trades_tradingcontrol
    ADD CONSTRAINT trades_tradingcontrol_customer_id_207d46f0_fk_accounts_customer FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.usersessions_usersession
    ADD CONSTRAINT usersessions_userses_user_id_af5e0a6d_fk_accounts_ FOREIGN KEY (user_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.webhooks_delivery
    ADD CONSTRAINT webhooks_delivery_webhook_id_5cbb533d_fk_trades_webhook_id FOREIGN KEY (webhook_id) REFERENCES public.webhooks_webhook(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.webhooks_webhook
    ADD CONSTRAINT webhooks_webhook_customer_id_df9e0bfa_fk_accounts_customer_id FOREIGN KEY (customer_id) REFERENCES public.accounts_customer(id) DEFERRABLE INITIALLY DEFERRED;
ALTER TABLE ONLY public.webhooks_webhook
    ADD CONSTRAINT webhooks_webhook_token_id_24c94ab9_fk_accounts_token_id FOREIGN KEY (token_id) REFERENCES public.accounts_token(id) DEFERRABLE INITIALLY DEFERRED;
INSERT INTO public.django_migrations (app, name, applied) VALUES
    ('contenttypes', '0001_initial', now()),
    ('contenttypes', '0002_remove_content_type_name', now()),
    ('auth', '0001_initial', now()),
    ('auth', '0002_alter_permission_name_max_length', now()),
    ('auth', '0003_alter_user_email_max_length', now()),
    ('auth', '0004_alter_user_username_opts', now()),
    ('auth', '0005_alter_user_last_login_null', now()),
    ('auth', '0006_require_contenttypes_0002', now()),
    ('auth', '0007_alter_validators_add_error_messages', now()),
    ('auth', '0008_alter_user_username_max_length', now()),
    ('auth', '0009_alter_user_last_name_max_length', now()),
    ('auth', '0010_alter_group_name_max_length', now()),
    ('auth', '0011_update_proxy_permissions', now()),
    ('auth', '0012_alter_user_first_name_max_length', now()),
    ('accounts', '0001_initial', now()),
    ('account', '0001_initial', now()),
    ('account', '0002_email_max_length', now()),
    ('account', '0003_alter_emailaddress_create_unique_verified_email', now()),
    ('account', '0004_alter_emailaddress_drop_unique_email', now()),
    ('account', '0005_emailaddress_idx_upper_email', now()),
    ('account', '0006_emailaddress_lower', now()),
    ('account', '0007_emailaddress_idx_email', now()),
    ('account', '0008_emailaddress_unique_primary_email_fixup', now()),
    ('account', '0009_emailaddress_unique_primary_email', now()),
    ('accounts', '0002_limits', now()),
    ('accounts', '0002_customer_pages', now()),
    ('accounts', '0003_staff', now()),
    ('accounts', '0004_sign_ins', now()),
    ('accounts', '0005_share_adjustments', now()),
    ('accounts', '0006_reasons', now()),
    ('accounts', '0007_watchlists', now()),
    ('accounts', '0008_cost_of_positions', now()),
    ('accounts', '0009_plain_english', now()),
    ('accounts', '0010_webhooks_scope', now()),
    ('accounts', '0011_settlement', now()),
    ('accounts', '0012_sales_by_settlement', now()),
    ('accounts', '0013_closing', now()),
    ('accounts', '0014_lots', now()),
    ('accounts', '0014_notices', now()),
    ('accounts', '0015_token_addresses', now()),
    ('accounts', '0016_one_token_a_key', now()),
    ('accounts', '0017_corporate_actions', now()),
    ('accounts', '0018_fee_postings', now()),
    ('accounts', '0019_fee_postings_validated', now()),
    ('accounts', '0020_mail', now()),
    ('accounts', '0021_good_faith', now()),
    ('accounts', '0022_closings_of_stock', now()),
    ('accounts', '0023_ticker_change', now()),
    ('accounts', '0024_code_step', now()),
    ('accounts', '0025_closing_prices', now()),
    ('accounts', '0026_texts', now()),
    ('accounts', '0027_undated_postings', now()),
    ('accounts', '0028_notice_places', now()),
    ('accounts', '0029_last_known_prices', now()),
    ('accounts', '0030_urgent_mails', now()),
    ('accounts', '0031_room_for_updates', now()),
    ('accounts', '0032_cost_step_by_step', now()),
    ('admin', '0001_initial', now()),
    ('admin', '0002_logentry_remove_auto_add', now()),
    ('admin', '0003_logentry_add_action_flag_choices', now()),
    ('alpaca_api', '0001_initial', now()),
    ('alpaca_api', '0002_watchlists_of_accounts', now()),
    ('alpaca_api', '0003_confirmations_are_notices', now()),
    ('exchange', '0001_initial', now()),
    ('exchange', '0002_call', now()),
    ('exchange', '0003_closures_and_doubts', now()),
    ('exchange', '0004_clock_skew', now()),
    ('exchange', '0005_texts', now()),
    ('exchange', '0006_last_price', now()),
    ('mfa', '0001_initial', now()),
    ('mfa', '0002_authenticator_timestamps', now()),
    ('mfa', '0003_authenticator_type_uniq', now()),
    ('office', '0001_office', now()),
    ('office', '0002_jobs', now()),
    ('office', '0003_texts', now()),
    ('office', '0004_proposals', now()),
    ('office', '0005_heartbeat', now()),
    ('office', '0006_proofs_of_changes', now()),
    ('sessions', '0001_initial', now()),
    ('trades', '0001_initial', now()),
    ('trades', '0002_switch', now()),
    ('trades', '0003_feed_and_lists', now()),
    ('trades', '0004_webhooks', now()),
    ('trades', '0005_for_staff', now()),
    ('trades', '0006_counters_keep_xact', now()),
    ('trades', '0007_names', now()),
    ('trades', '0008_plain_english', now()),
    ('trades', '0009_unanswered', now()),
    ('trades', '0010_placed_at_grows', now()),
    ('trades', '0011_review', now()),
    ('trades', '0012_collar', now()),
    ('trades', '0013_collar_validated', now()),
    ('trades', '0014_settlement', now()),
    ('trades', '0015_queued', now()),
    ('trades', '0016_lot_method', now()),
    ('trades', '0017_corporate_actions', now()),
    ('trades', '0018_fees', now()),
    ('trades', '0019_time_in_force', now()),
    ('trades', '0020_day_totals', now()),
    ('trades', '0021_good_faith', now()),
    ('trades', '0022_good_faith_validated', now()),
    ('trades', '0023_plain_words', now()),
    ('trades', '0024_corporate_actions_in_the_feed', now()),
    ('trades', '0025_ticker_change', now()),
    ('trades', '0026_texts', now()),
    ('trades', '0027_trade_mail', now()),
    ('trades', '0028_fewer_indexes', now()),
    ('trades', '0029_narrow_indexes', now()),
    ('trades', '0030_key_of_status_changes', now()),
    ('trades', '0031_room_for_updates', now()),
    ('usersessions', '0001_initial', now()),
    ('webhooks', '0001_initial', now()),
    ('webhooks', '0002_fair_delivery', now()),
    ('webhooks', '0003_texts', now());
